"""How long it takes to see that nothing is to do, and what hashing and safety cost beside sampling."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.folder import OutFolder
from bench.images import ImageStore
from bench.lock import FolderLock
from bench.plan import Plan
from bench.record import Cell, Quantity, Record, write_record
from bench.record_index import write_index
from bench.resume import Resume
from bench.sampling import requests_of
from bench.slices import HalvingSampler, Slice, SliceLog
from bench.source import image_source
from bench.suites.shapes.info import INFO
from bench.suites.shapes.suite import ShapesSuite
from methods.add import ADD

RECORDS, IMAGES, BATCH, ROUNDS = 5_000, 400, 50, 7


def finished(plan: Plan, origin: dict[str, object]) -> dict[str, Record]:
    """A record for each cell of `plan`, by file name; how long they are does not matter, as they are not read."""
    values, written = tuple(0.1 * index for index in range(100)), {}
    quantities = tuple(
        Quantity(name, 1.0, 0.9, 1.1, plan.limit, "", True, {"extractor": "x" * 40}) for name in plan.metrics
    )
    about = {"origin": origin, "metrics": list(plan.metrics), "left_out": {}, "versions": {"torch": "2.14.1"}}
    for cell in plan.cells:
        record = Record(cell, "ok", None, quantities, dict.fromkeys(plan.metrics, values), {}, about)
        written[write_record(record, plan.out.records).name] = record
    return written


@pytest.mark.benchmark(group="resume")
def test_nothing_to_do_of_5_000_records(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """The decision alone, as the command makes it; `python` beside it is an interpreter that does nothing."""
    cell = Cell("shapes", "add", 1, None, 0, 1000, "cpu", "float32", BATCH)
    cells = tuple(replace(cell, num_inference_steps=1 + index % 1000, seed=index // 1000) for index in range(RECORDS))
    plan = Plan(INFO, cells, ("fd-shapes", "clip-shapes", "preference", "attributes"), OutFolder(tmp_path, "shapes"))
    plan.out.prepare()
    records = finished(plan, Resume(plan).origin(cell))
    benchmark.extra_info["without_the_index_s"] = seconds(lambda: Resume(plan).pending)
    write_index(tmp_path, records)
    start = time.process_time()
    assert Resume(plan).pending == ()
    benchmark.extra_info["processor_s"] = time.process_time() - start
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import bench.commands.run"], check=True)
    benchmark.extra_info["start_s"] = time.perf_counter() - start
    assert benchmark.pedantic(lambda: Resume(plan).pending, rounds=3) == ()


@pytest.mark.benchmark(group="safety")
def test_hashing_and_safety_beside_sampling(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """What a run does for safety's sake, in seconds, over what sampling and storing take in one step."""
    prompts = ShapesSuite().prompts(IMAGES)
    folder = ShapesSuite().checkpoint("add")
    method = ADD.load(folder, device=torch.device("cpu"), dtype=torch.float32)
    cell = Cell("shapes", "add", 1, None, 0, IMAGES, "cpu", "float32", BATCH)
    requests = requests_of(cell, prompts, BATCH)
    sampler = HalvingSampler(method, BATCH)

    def sampled(place: Path) -> None:
        store = ImageStore(place)
        store.open({"weights": "x"})
        for index, request in enumerate(requests):
            store.write(prompts[index * BATCH :][:BATCH], sampler.sample(request)[0])

    def safe(place: Path) -> None:
        with FolderLock(place):
            image_source(cell, "weights", {}, prompts, {}, method)
            log = SliceLog(place)
            for index in range(len(requests)):
                log.add(Slice(index, 1.0, BATCH, "place"))
            ImageStore(place).write_hashes(prompts)

    with torch.no_grad():
        sampled(tmp_path / "warm")
        works: list[float] = []
        safeties: list[float] = []
        for round_ in range(ROUNDS):
            place = tmp_path / str(round_)
            works.append(seconds(lambda place=place: sampled(place)))  # type: ignore[misc]
            safeties.append(seconds(lambda place=place: safe(place)))  # type: ignore[misc]
    share = statistics.median(safeties) / statistics.median(works)
    benchmark.extra_info["safety_over_sampling"] = share
    benchmark.extra_info["sampling_s"] = statistics.median(works)
    benchmark.pedantic(safe, args=(tmp_path / "0",), rounds=1)


def seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
