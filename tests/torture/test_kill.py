"""Killed with SIGKILL at any moment, the same command ends with the bytes of a run that was never killed.

Five kills here, fifty with `tox -e torture`: during sampling, image writes, metrics, record writes, the table at the
end, and training.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bench import provenance
from bench.cli import main
from bench.training import workshop
from tests.harness import fakes, tables
from tests.torture.killing import Ended, Events, Moment, in_child
from tests.torture.snapshot import snapshot
from tests.training.test_loop import Regression, batch_at, config

KINDS = ("sample", "image", "metric", "record", "train", "table", "slice", "any")
QUICK, ALL = 5, 50
TRIALS = [*range(QUICK), *(pytest.param(trial, marks=pytest.mark.slow) for trial in range(QUICK, ALL))]


def event_of(path: str) -> str | None:
    """What a file that is opened for writing is."""
    if path.endswith(".png"):
        return "image"
    if "/records/" in path:
        return "record"
    if "/results." in path:
        return "table"
    if path.endswith("slices.jsonl"):
        return "slice"
    return "other" if "/job/" in path else None


@dataclass(frozen=True)
class Job:
    """The main job on fakes: two methods at two step counts, in slices of five images."""

    folder: Path

    @property
    def out(self) -> Path:
        return self.folder / "job"

    def __call__(self, events: Events) -> int:
        def sampled(_name: str, _request: object) -> None:
            events.happened("sample")

        def measured(self: fakes.Brightness, batch: object) -> None:
            events.happened("metric")
            update(self, batch)  # type: ignore[arg-type]

        fakes.control.on_sample = sampled
        update = fakes.Brightness.update
        fakes.Brightness.update = measured  # type: ignore[method-assign,assignment]
        command = ["run", "--suite", "toy", "--methods", "add,lcm", "--steps", "1,4", "--device", "cpu"]
        return main([*command, "--batch-size", "5", "--out", str(self.out)])


@dataclass(frozen=True)
class Training:
    """A stage of two small networks, with losses, measures and pictures every few steps."""

    folder: Path

    @property
    def out(self) -> Path:
        return self.folder / "job"

    def __call__(self, events: Events) -> int:
        from rich.console import Console

        class Watched(Regression):
            def losses(self, network: str, batch: Mapping[str, Tensor], draws: object) -> Mapping[str, Tensor]:
                events.happened("train")
                return super().losses(network, batch, draws)  # type: ignore[arg-type]

        def measure(networks: Mapping[str, nn.Module]) -> Mapping[str, float]:
            return {"norm": sum(float(value.detach().norm()) for value in networks["first"].parameters())}

        def grid(networks: Mapping[str, nn.Module]) -> Tensor:
            weight = next(networks["first"].parameters()).detach().reshape(1, 1, 3, 3)
            return (weight.sigmoid() * 255).to(torch.uint8).expand(2, 3, 3, 3)

        workshop.LOG_EVERY = 2
        shop = workshop.Workshop(self.out, Console(quiet=True))
        if not shop.finished("line"):
            trained, made = shop.run(
                "line", Watched(), batch_at, config(), data="lines", measure=measure, grid=grid, measure_every=5
            )
            shop.finish("line", {**trained["first"].state_dict()}, made)
        return 0


@dataclass(frozen=True)
class Golden:
    """A run that was never killed: what it left, and how often each thing happened."""

    files: dict[str, str]
    seen: dict[str, int]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with weights for the fakes, which stand in place of the real tables."""
    folder = tmp_path_factory.mktemp("torture")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # children are forked, and have none of the parent's threads
    with pytest.MonkeyPatch.context() as patch:
        for name in ("runner", "results", "progress", "terminal"):
            importlib.import_module(f"bench.{name}")  # once, here, and not in every child
        tables.install(patch)
        patch.setattr(provenance, "code", lambda: {"commit": None, "dirty": None})  # the checkout may be worked on
        fakes.reset()
        for name in tables.METHODS.names():
            (folder / "weights" / name).mkdir(parents=True)
            (folder / "weights" / name / "weights.txt").write_text("0.05")
        fakes.control.weights = folder / "weights"
        yield folder
        fakes.reset()
    torch.set_num_threads(threads)


def snapshot_of(work: Job | Training) -> dict[str, str]:
    """Read in a child, as reading a table starts threads, and this process forks."""
    listing = work.folder / "snapshot.txt"

    def write(_: Events) -> int:
        listing.write_text("\n".join(f"{digest} {name}" for name, digest in snapshot(work.out).items()))
        return 0

    ended = in_child(write, work.folder / "notes", lambda _: None)
    assert ended.status == 0, ended.output
    return {name: digest for digest, _, name in (line.partition(" ") for line in listing.read_text().splitlines())}


def whole(work: Job | Training) -> Golden:
    ended = in_child(work, work.folder / "notes", event_of)
    assert ended.status == 0, ended.output
    return Golden(snapshot_of(work), ended.seen)


@pytest.fixture(scope="module")
def job(base: Path) -> Golden:
    return whole(Job(base / "whole"))


@pytest.fixture(scope="module")
def training(base: Path) -> Golden:
    return whole(Training(base / "whole-training"))


def moment_of(trial: int, seen: Mapping[str, int]) -> Moment:
    """A random moment of the trial's kind; half of them within what has just begun, half before it."""
    rng = random.Random(trial)
    kind = KINDS[trial % len(KINDS)]
    event = rng.choice(sorted(seen)) if kind == "any" else kind
    return Moment(event, rng.randint(1, seen[event]), rng.choice([0.0, 0.0002, 0.001, 0.004]))


@pytest.mark.parametrize("trial", TRIALS)
def test_a_killed_run_ends_with_the_bytes_of_one_that_was_not(
    trial: int, base: Path, job: Golden, training: Golden
) -> None:
    trains = KINDS[trial % len(KINDS)] == "train" or trial % 16 == 15
    golden = training if trains else job
    work = (Training if trains else Job)(base / f"trial-{trial}")
    moment = moment_of(trial, golden.seen)
    first = in_child(work, work.folder / "notes", event_of, moment)
    assert first.status is None or moment.delay_s > 0, first  # it may have ended within the delay
    again = finish(work)
    assert again.status == 0, again.output
    assert snapshot_of(work) == golden.files, moment


def finish(work: Job | Training) -> Ended:
    return in_child(work, work.folder / "notes", event_of)


def test_killed_again_and_again_it_ends_all_the_same(base: Path, job: Golden) -> None:
    work = Job(base / "often")
    for count in (2, 3, 1, 2):
        ended = in_child(work, work.folder / "notes", event_of, Moment("sample", count))
        assert ended.status is None
    ended = finish(work)
    assert ended.status == 0, ended.output
    assert snapshot_of(work) == job.files


def test_the_comparison_can_fail(base: Path, job: Golden) -> None:
    work = Job(base / "other")
    assert finish(work).status == 0
    assert snapshot_of(work) == job.files
    record = next((work.out / "records").glob("*.json"))
    record.write_text(record.read_text().replace('"n":12', '"n":11', 1))
    assert snapshot_of(work) != job.files
