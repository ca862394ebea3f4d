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
from bench.sampling import requests_of
from bench.suites.shapes.suite import ShapesSuite
from methods.add import ADD
from methods.interface import SampleRequest

IMAGES, BATCH, ROUNDS = 400, 50, 15


@pytest.fixture(scope="module")
def prompts() -> list[Prompt]:
    return ShapesSuite().prompts(IMAGES)


@pytest.fixture(scope="module")
def method() -> ADD:
    return ADD.load(ShapesSuite().checkpoint("add"), device=torch.device("cpu"), dtype=torch.float32)


def slices(prompts: list[Prompt], size: int) -> list[SampleRequest]:
    cell = Cell("shapes", "add", 1, None, 0, IMAGES, "cpu", "float32", size)
    return requests_of(cell, prompts, size)


def generated(method: ADD, prompts: list[Prompt]) -> None:
    """As the runner samples, images left in memory."""
    for request in slices(prompts, BATCH):
        method.sample(request)


def generated_and_stored(method: ADD, prompts: list[Prompt], folder: Path) -> None:
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
    """Interleaved rounds, each begun by another side; the ratio of rates is that of the median times.

    What storing adds is mostly the file system's: a file an image.
    """
    bare_loop(method.pipe, prompts[:BATCH], BATCH)
    times: dict[str, list[float]] = {"bare": [], "generated": [], "stored": []}
    for round_ in range(ROUNDS):
        folder = tmp_path / str(round_)
        folder.mkdir()
        work: dict[str, Callable[[], None]] = {
            "bare": partial(bare_loop, method.pipe, prompts, BATCH),
            "generated": partial(generated, method, prompts),
            "stored": partial(generated_and_stored, method, prompts, folder),
        }
        names = list(work)
        for name in names[round_ % 3 :] + names[: round_ % 3]:
            times[name].append(seconds(work[name]))
    bare, ours, stored = (statistics.median(times[name]) for name in ("bare", "generated", "stored"))
    single = [seconds(lambda: bare_loop(method.pipe, prompts[:BATCH], 1)) * IMAGES / BATCH for _ in range(3)]
    assert len(list((tmp_path / "0").glob("*.png"))) == IMAGES
    benchmark.extra_info["harness_over_bare_loop"] = bare / ours
    benchmark.extra_info["harness_with_storing_over_bare_loop"] = bare / stored
    benchmark.extra_info["harness_over_one_at_a_time"] = statistics.median(single) / stored
    benchmark.extra_info["images_per_s"] = IMAGES / ours
    benchmark.pedantic(bare_loop, args=(method.pipe, prompts, BATCH), rounds=1)
