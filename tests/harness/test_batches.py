"""How the work is cut hardly moves a number: batch size, the order of cells, halved batches. On real weights.

An image differs by at most one level of 255 in at most a thousandth of its values, and a score by less than a tenth of
its standard error: floating-point sums are added up in another order, nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench import runner
from bench.cli import main
from bench.record import Record, read_records
from bench.verify import LEVELS, SHARE

IMAGES = 30
SCORES = ("fd-shapes", "clip-shapes", "attributes")
Runs = Callable[..., Path]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    made: dict[tuple[str, ...], Path] = {}
    patch = pytest.MonkeyPatch()
    patch.setattr(runner, "TIMED_PROMPTS", 1)  # costs are measured elsewhere

    def run(*options: str) -> Path:
        if options not in made:
            made[options] = tmp_path_factory.mktemp("run") / "out"
            usual = ["run", "--steps", "1", "--limit", str(IMAGES), "--device", "cpu", "--out", str(made[options])]
            assert main([*usual, "--metrics", ",".join(SCORES), *options]) == 0
        return made[options]

    yield run
    patch.undo()


def record_of(out: Path, method: str) -> Record:
    (found,) = (record for record in read_records(out / "records") if record.cell.method == method)
    return found


def images_of(out: Path, method: str) -> dict[str, np.ndarray]:
    folder = out / "images" / record_of(out, method).cell.name
    return {path.name: np.array(Image.open(path)).astype(int) for path in sorted(folder.glob("*.png"))}


def check_images(one: Path, other: Path, method: str, other_method: str | None = None) -> None:
    first, second = images_of(one, method), images_of(other, other_method or method)
    assert list(first) == list(second)
    assert len(first) == IMAGES
    for name, image in first.items():
        distance = np.abs(image - second[name])
        assert distance.max() <= LEVELS, name
        assert (distance > 0).mean() <= SHARE, name


def check_scores(one: Path, other: Path, method: str, other_method: str | None = None) -> None:
    first, second = record_of(one, method), record_of(other, other_method or method)
    for name in SCORES:
        a, b = first.quantity(name), second.quantity(name)
        assert a is not None
        assert b is not None
        standard_error = (a.ci_high - a.ci_low) / (2 * 1.96)
        assert standard_error > 0, name
        assert abs(a.value - b.value) < standard_error / 10, name


@pytest.mark.parametrize("method", ["add", "lcm"])
def test_batch_size_moves_no_pixel_and_no_score(runs: Runs, method: str) -> None:
    whole = runs("--methods", "add,lcm", "--batch-size", "20")
    pieces = runs("--methods", "add,lcm", "--batch-size", "7")
    check_images(whole, pieces, method)
    check_scores(whole, pieces, method)
    assert record_of(pieces, method).cell.batch_size == 7
    assert record_of(pieces, method).provenance["machine"]["threads"] >= 1


def test_the_order_of_cells_moves_not_a_byte(runs: Runs) -> None:
    one = runs("--methods", "add,lcm", "--batch-size", "20")
    other = runs("--methods", "lcm,add", "--batch-size", "20")
    for method in ("add", "lcm"):
        name = record_of(one, method).cell.name
        first, second = (sums(out / "images" / name) for out in (one, other))
        assert first == second
        mine, theirs = record_of(one, method), record_of(other, method)
        assert [mine.quantity(score) for score in SCORES] == [theirs.quantity(score) for score in SCORES]


def test_a_halved_batch_moves_no_pixel_and_no_score(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    from methods.interface import SampleRequest
    from methods.sampling import PipelineMethod

    whole = runs("--methods", "add,lcm", "--batch-size", "20")
    sample = PipelineMethod.sample

    def small(self: PipelineMethod, request: SampleRequest) -> object:
        if len(request.prompts) > 8:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")
        return sample(self, request)

    monkeypatch.setattr(PipelineMethod, "sample", small)
    halved = runs("--methods", "add", "--batch-size", "20", "--seed", "0")
    check_images(whole, halved, "add")
    check_scores(whole, halved, "add")
    assert record_of(halved, "add").provenance["halved"] == {"5": [0, 1]}


def test_another_method_is_seen(runs: Runs) -> None:
    whole = runs("--methods", "add,lcm", "--batch-size", "20")
    with pytest.raises(AssertionError):
        check_images(whole, whole, "add", "lcm")
    with pytest.raises(AssertionError):
        check_scores(whole, whole, "add", "lcm")


def sums(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.png"))}


@pytest.mark.parametrize("method", ["add", "lcm"])
def test_jobs_move_no_pixel_and_no_score(
    runs: Runs, method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = runs("--methods", "add,lcm", "--batch-size", "20")
    together = runs("--methods", "add,lcm", "--batch-size", "20", "--jobs", "2")
    check_images(alone, together, method)
    check_scores(alone, together, method)
