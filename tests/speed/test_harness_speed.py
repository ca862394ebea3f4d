"""What the harness costs: sampling through it against a bare loop over the same stock pipeline, as ratios."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.images import ImageStore, ImageWriter
from bench.judging import Prompt
from bench.record import Cell
from bench.runner import requests_of
from bench.suites.shapes.suite import ShapesSuite
from methods.add import ADD
from methods.interface import SampleRequest

IMAGES, BATCH, ROUNDS = 400, 50, 8


@pytest.fixture(scope="module")
def prompts() -> list[Prompt]:
    return ShapesSuite().prompts(IMAGES)


@pytest.fixture(scope="module")
def method() -> ADD:
    return ADD.load(ShapesSuite().checkpoint("add"), device=torch.device("cpu"), dtype=torch.float32)


def slices(prompts: list[Prompt], size: int) -> list[SampleRequest]:
    cell = Cell("shapes", "add", 1, None, 0, IMAGES, "cpu", "float32", size)
    return requests_of(cell, prompts, size)


def through_the_harness(method: ADD, prompts: list[Prompt], folder: Path) -> None:
    """As the runner does it on a CPU: sample a slice, store it."""
    store = ImageStore(folder)
    with ImageWriter(store, background=False) as writer:
        for index, request in enumerate(slices(prompts, BATCH)):
            writer.write(prompts[index * BATCH :][:BATCH], method.sample(request))


def bare_loop(pipe: Any, prompts: list[Prompt], size: int) -> None:
    """The stock pipeline alone, images left in memory."""
    for request in slices(prompts, size):
        generators = [torch.Generator().manual_seed(seed) for seed in request.seeds]
        pipe(list(request.prompts), generator=generators, num_inference_steps=1, guidance_scale=0.0, output_type="pt")


def seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def test_harness_against_a_bare_loop(
    benchmark: BenchmarkFixture, method: ADD, prompts: list[Prompt], tmp_path: Path
) -> None:
    """Interleaved rounds, each side first in every other one; the ratio of rates is that of the median times."""
    bare_loop(method.pipe, prompts[:BATCH], BATCH)
    times: dict[str, list[float]] = {"harness": [], "bare": []}
    for round_ in range(ROUNDS):
        folder = tmp_path / str(round_)
        folder.mkdir()
        work: dict[str, Callable[[], None]] = {
            "harness": partial(through_the_harness, method, prompts, folder),
            "bare": partial(bare_loop, method.pipe, prompts, BATCH),
        }
        for name in work if round_ % 2 else reversed(work):
            times[name].append(seconds(work[name]))
    ours, bare = times["harness"], times["bare"]
    single = [seconds(lambda: bare_loop(method.pipe, prompts[:BATCH], 1)) * IMAGES / BATCH for _ in range(3)]
    assert len(list((tmp_path / "0").glob("*.png"))) == IMAGES
    benchmark.extra_info["harness_over_bare_loop"] = statistics.median(bare) / statistics.median(ours)
    benchmark.extra_info["harness_over_one_at_a_time"] = statistics.median(single) / statistics.median(ours)
    benchmark.extra_info["images_per_s"] = IMAGES / statistics.median(ours)
    benchmark.pedantic(bare_loop, args=(method.pipe, prompts, BATCH), rounds=1)
