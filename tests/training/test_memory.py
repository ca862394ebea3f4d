"""Memory does not grow with steps: every tensor that a step makes is gone when the next one has been made."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from bench.training.heap import keep_heap
from methods.add.recipe import AddRecipe
from methods.distill.loop import Log, train
from methods.distill.objective import Objective
from methods.lcm.objective import LcmObjective, LcmRecipe
from tests.training.tiny_add import latent_batch, make_add


def lcm() -> Objective:
    add = make_add()
    return LcmObjective(add.student, add.teacher, LcmRecipe(w_min=1.0, w_max=1.0))


def living() -> tuple[int, int]:
    """How many tensors there are, and the numbers that they hold."""
    gc.collect()
    tensors = [thing for thing in gc.get_objects() if issubclass(type(thing), torch.Tensor)]
    return len(tensors), sum(tensor.numel() for tensor in tensors)


def steps(objective: Objective, count: int) -> Iterator[Log]:
    config = AddRecipe().training(steps=count, batch_size=4, seed=0, warmup_steps=1)
    batch = latent_batch(4)
    return train(objective, lambda step: batch, config)


@pytest.mark.parametrize("make", [make_add, lcm])
def test_no_tensor_outlives_its_step(make: type[Objective]) -> None:
    seen = [living() for _ in steps(make(), 4)]
    assert len(set(seen[1:])) == 1, "after the first step, which makes the optimisers' states"
    assert min(seen[1]) > 0


def test_a_loop_that_keeps_its_losses_is_noticed() -> None:
    kept: list[torch.Tensor] = []
    seen = []
    for _ in steps(lcm(), 4):
        kept.append(torch.zeros(3))
        seen.append(living())
    assert seen[3] > seen[2] > seen[1]


SCRIPT = """
import resource
import numpy
from bench.training.heap import keep_heap
from methods.add.recipe import AddRecipe
assert keep_heap() == {kept}
def work():
    return sum(float(numpy.ones(1_000_000 + 1000 * k).sum()) for k in range(20))
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def glibc() -> bool:
    return sys.platform == "linux" and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")


@pytest.mark.skipif(not glibc(), reason="the C library has another allocator")
def test_freed_memory_is_used_again_and_not_cleared_again() -> None:
    faults, peak = run(SCRIPT.format(kept=True))
    usual, usual_peak = run(SCRIPT.format(kept=True).replace("assert keep_heap() == True", ""))
    assert faults < 0.05 * usual
    assert peak < 1.1 * usual_peak


def run(script: str) -> tuple[int, int]:
    made = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    first, second = made.stdout.split()
    return int(first), int(second)


def test_another_platform_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_heap()
