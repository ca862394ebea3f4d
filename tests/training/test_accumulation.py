"""Neither accumulation nor a second process changes what a step computes, with LCM's own objective on a small UNet.

The comparison is in float64, where it sees anything but rounding. In float32 the networks round in another way at
another batch size, and LCM's loss is the small difference of two large numbers, which magnifies that.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor, nn

from bench.suites.shapes.generator.networks import POOLED_WIDTH, TEXT_WIDTHS, make_unet
from methods.diffusion.schedule import Schedule
from methods.distill.compute import Compute, moved, place, rows_of
from methods.distill.denoiser import Condition, Denoiser
from methods.distill.draws import Draws, Share
from methods.distill.loop import TrainConfig, train
from methods.distill.objective import Batch, Objective
from methods.distill.parallel import current_share, process_group
from methods.lcm.objective import LcmObjective, LcmRecipe
from tests.tiny import GUIDANCE_EMBEDDING_WIDTH, TEACHER_SCHEDULER

BATCH = 8
WIDTHS = (16, 32)


def lcm(dtype: torch.dtype = torch.float64) -> LcmObjective:
    torch.manual_seed(0)
    schedule = Schedule.from_scheduler_config(TEACHER_SCHEDULER)
    student = make_unet(WIDTHS, time_cond_proj_dim=GUIDANCE_EMBEDDING_WIDTH)
    teacher = make_unet(WIDTHS).requires_grad_(False)
    for network in (student, teacher):
        network.to(dtype)
    # the stock embedding of w is float32
    student.time_embedding.cond_proj.register_forward_pre_hook(lambda module, args: (args[0].to(dtype),))
    denoisers = (Denoiser(network, schedule, "v_prediction") for network in (student, teacher))
    return LcmObjective(*denoisers, LcmRecipe())


def batch_at(step: int, dtype: torch.dtype = torch.float64) -> Batch:
    rng = torch.Generator().manual_seed(step)
    condition = Condition(
        torch.randn(BATCH, 5, sum(TEXT_WIDTHS), generator=rng, dtype=dtype),
        torch.randn(BATCH, POOLED_WIDTH, generator=rng, dtype=dtype),
        torch.full((BATCH, 6), 32.0, dtype=dtype),
    )
    batch: Batch = rows_of(
        {"latents": torch.randn(BATCH, 8, 8, 8, generator=rng, dtype=dtype), "condition": condition}, current_share()
    )
    return batch


def trained(steps: int, compute: Compute, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """Gradients of the first step, or weights after several, all in one vector; the losses."""
    objective = lcm(dtype)
    config = TrainConfig(
        steps=steps, batch_size=BATCH, learning_rate=1e-4, warmup_steps=1, ema_decay=None, max_grad_norm=1e9
    )  # fmt: skip
    losses = [
        log.losses["student/consistency"]
        for log in train(objective, partial(batch_at, dtype=dtype), config, None, compute)
    ]
    unet = objective.student.unet
    gradients = [p.grad.flatten() for p in unet.parameters() if p.grad is not None]
    return {
        "gradient": torch.cat(gradients),
        "weight": torch.cat([p.detach().flatten() for p in unet.parameters()]),
        "target": torch.cat([p.detach().flatten() for p in objective.target.unet.parameters()]),
        "losses": torch.tensor(losses),
    }


def difference(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


@pytest.fixture(scope="module")
def alone() -> dict[int, dict[str, Tensor]]:
    return {steps: trained(steps, Compute()) for steps in (1, 10)}


def check(found: Mapping[int, Mapping[str, Tensor]], alone: Mapping[int, Mapping[str, Tensor]]) -> None:
    """Between processes gradients travel as float32, whose rounding is 6e-8."""
    assert difference(found[1]["gradient"], alone[1]["gradient"]) < 1e-5
    assert difference(found[1]["losses"], alone[1]["losses"]) < 1e-5
    for name in ("weight", "target"):
        assert difference(found[10][name], alone[10][name]) < 1e-4


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulation_takes_the_same_steps(parts: int, alone: dict[int, dict[str, Tensor]]) -> None:
    check({steps: trained(steps, Compute(accumulation=parts)) for steps in (1, 10)}, alone)


def test_in_float32_nothing_but_rounding_is_added() -> None:
    whole, parts = (trained(1, Compute(accumulation=count), torch.float32) for count in (1, 2))
    # float32's 6e-8, magnified some hundred times by the loss
    assert difference(parts["gradient"], whole["gradient"]) < 1e-4
    assert difference(parts["losses"], whole["losses"]) < 1e-5


class SameNoise(Compute):
    """Wrong on purpose: every micro-batch draws as though it were the first."""

    def parts(self, objective: Objective, batch: Batch, seeded: Draws) -> list[tuple[Objective, Batch, Draws]]:
        made = super().parts(objective, batch, seeded)
        return [(own, rows, replace(draws, share=Share(0, draws.share.ranks))) for own, rows, draws in made]


def test_noise_that_belongs_to_a_micro_batch_is_noticed(alone: dict[int, dict[str, Tensor]]) -> None:
    found = trained(1, SameNoise(accumulation=2))
    assert difference(found["gradient"], alone[1]["gradient"]) > 0.01


def _work(rank: int, port: int, folder: Path) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with process_group():
        for steps in (1, 10):
            torch.save(trained(steps, Compute(accumulation=2)), folder / f"{rank}-{steps}.pt")


def test_two_processes_that_accumulate_take_the_same_steps(tmp_path: Path, alone: dict[int, dict[str, Tensor]]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(_work, (port, tmp_path), nprocs=2)  # type: ignore[no-untyped-call]
    first, second = (
        {steps: torch.load(tmp_path / f"{rank}-{steps}.pt") for steps in (1, 10)} for rank in range(2)
    )  # fmt: skip
    check(first, alone)
    assert torch.equal(first[10]["weight"], second[10]["weight"]), "the processes came apart"


class InTurn(Objective):
    """The second network's losses read what the first one's left, as ADD's discriminator reads the student's sample."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 1)
        self.left: Tensor | None = None

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        return {"first": self.first, "second": self.second}

    def losses(self, network: str, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        if network == "first":
            made = self.first(batch["x"] + draws.normal(*batch["x"].shape))
            self.left = made.detach()
            return {"error": self.second(made).square().mean()}
        assert self.left is not None
        left, self.left = self.left, None
        return {"error": (self.second(left) - draws.uniform(len(left), 1)).square().mean()}


def test_what_one_network_leaves_for_the_next_stays_with_its_samples() -> None:
    def run(parts: int) -> list[Tensor]:
        objective = InTurn()
        config = TrainConfig(steps=3, batch_size=6, learning_rate=0.01, warmup_steps=1, ema_decay=None)
        batch = {"x": torch.arange(12.0).reshape(6, 2) / 12}
        list(train(objective, lambda step: batch, config, None, Compute(accumulation=parts)))
        return [p.detach() for network in objective.trained.values() for p in network.parameters()]

    for parts in (2, 3):
        assert all(torch.allclose(a, b, rtol=1e-5, atol=1e-6) for a, b in zip(run(1), run(parts), strict=True))


def test_parts_of_a_batch_are_its_rows_whatever_holds_them() -> None:
    condition = Condition(torch.arange(8.0).reshape(4, 2), torch.arange(4.0), torch.zeros(4, 6))
    part = rows_of({"x": torch.arange(4), "condition": condition, "names": ["a", "b", "c", "d"]}, Share(1, 2))
    assert part["x"].tolist() == [2, 3]
    assert part["condition"].embeds.tolist() == [[4.0, 5.0], [6.0, 7.0]]
    assert part["names"] == ["c", "d"]
    with pytest.raises(ValueError, match="does not divide into 3"):
        rows_of({"x": torch.arange(4)}, Share(0, 3))
    with pytest.raises(TypeError, match="a float, which has no rows"):
        rows_of({"x": 1.0}, Share(0, 2))
    with pytest.raises(ValueError, match="at least 1"):
        Compute(accumulation=0)


def test_everything_is_moved_to_the_device() -> None:
    meta = torch.device("meta")
    objective = lcm()
    place(objective, meta)
    networks = (objective.student.unet, objective.teacher.unet, objective.target.unet)
    assert all(p.device == meta for network in networks for p in network.parameters())
    assert objective.grid.device == meta
    assert objective.teacher.schedule.alpha.device.type == "cpu"
    batch = moved(batch_at(0), meta)
    assert batch["latents"].device == batch["condition"].pooled.device == meta
    draws = Draws(torch.Generator().manual_seed(0), device=meta)
    shapes = [draws.normal(2, 3), draws.uniform(2), draws.integers(0, 5, 2), draws.stratified(2)]
    assert all(each.device == meta for each in shapes)


def test_autocast_is_for_products_and_not_for_weights() -> None:
    objective = lcm(torch.float32)
    seen: set[torch.dtype] = set()
    objective.student.unet.conv_out.register_forward_hook(lambda module, args, result: seen.add(result.dtype))
    config = TrainConfig(steps=1, batch_size=BATCH, learning_rate=1e-4, warmup_steps=1, ema_decay=None)
    batches = partial(batch_at, dtype=torch.float32)
    for autocast, expected in ((None, torch.float32), (torch.bfloat16, torch.bfloat16)):
        seen.clear()
        list(train(objective, batches, config, None, Compute(autocast=autocast)))
        assert seen == {expected}
        assert {p.dtype for p in objective.student.unet.parameters()} == {torch.float32}
        assert {p.grad.dtype for p in objective.student.unet.parameters() if p.grad is not None} == {torch.float32}


@pytest.mark.cuda
def test_a_gpu_draws_what_a_cpu_draws(alone: dict[int, dict[str, Tensor]]) -> None:
    device = torch.device("cuda")
    objective = lcm(torch.float32)
    place(objective, device)
    config = TrainConfig(steps=1, batch_size=BATCH, learning_rate=1e-4, warmup_steps=1, ema_decay=None)
    batches = partial(batch_at, dtype=torch.float32)
    losses = [log.losses["student/consistency"] for log in train(objective, batches, config, None, Compute(device))]
    assert losses[0] == pytest.approx(float(alone[1]["losses"][0]), rel=1e-3)  # TF32 may be on
