"""A stale image is never served: whatever may change a pixel is part of what an image is kept for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bench import source
from bench.cli import main
from bench.judging import Prompt
from bench.record import read_records
from bench.verify import differs, draw
from tests.harness import fakes
from tests.harness.fakes import Control
from tests.harness.test_run import TWO, pngs

Bench = Callable[..., int]
ONE = ("--methods", "add", "--steps", "1")


def measured_again(toy: Control, bench: Bench, out: Path) -> int:
    """How many slices are sampled when the record is gone and the images are there."""
    for path in (out / "records").glob("*.json"):
        path.unlink()
    toy.requests.clear()
    assert bench(*ONE) == 0
    return len(toy.generated)


def test_images_are_kept_where_nothing_changed(toy: Control, bench: Bench, out: Path) -> None:
    assert bench(*ONE) == 0
    assert measured_again(toy, bench, out) == 0


def change_version(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(source, "installed", lambda names: dict.fromkeys(names, "0.0"))


def change_code(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(source, "code_hash", lambda _: "other")


def change_prompt(patch: pytest.MonkeyPatch) -> None:
    prompts = [Prompt(f"{index:05}", f"another prompt {index}", "all") for index in range(12)]
    patch.setattr(fakes.ToySuite, "prompts", lambda self, limit=None: prompts)


def change_weights(patch: pytest.MonkeyPatch) -> None:
    assert fakes.control.weights is not None
    (fakes.control.weights / "add" / "weights.txt").write_text("0.06")


def change_recipe(patch: pytest.MonkeyPatch) -> None:
    made = fakes.FakeADD.__init__

    def other(self: fakes.FakeADD, shift: float) -> None:
        made(self, shift)
        self.recipe = fakes.Recipe(scheduler="Other")

    patch.setattr(fakes.FakeADD, "__init__", other)


@pytest.mark.parametrize("change", [change_version, change_code, change_prompt, change_weights, change_recipe])
def test_a_change_of_anything_that_moves_a_pixel_samples_again(
    toy: Control,
    bench: Bench,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[pytest.MonkeyPatch], None],
) -> None:
    assert bench(*ONE) == 0
    change(monkeypatch)
    assert measured_again(toy, bench, out) == 3


def test_the_key_names_seed_dtype_and_versions(toy: Control, bench: Bench, out: Path) -> None:
    import json

    assert bench(*ONE, "--seed", "3") == 0
    key = json.loads(next((out / "images").glob("*/source.json")).read_text())
    assert key["cell"]["seed"] == 3
    assert key["cell"]["dtype"] == "float32"
    assert set(key) == {"cell", "weights", "recipe", "prompts", "loading", "versions", "code"}
    assert key["versions"]["torch"] == torch.__version__.partition("+")[0] or key["versions"]["torch"]
    assert source.prompts_hash([Prompt("a", "b", "c")], 0, 1) != source.prompts_hash([Prompt("a", "b", "c")], 1, 1)


def verify(out: Path, *options: str) -> int:
    return main(["verify", str(out), "--seed", "0", *options])


def test_verify_finds_a_run_as_it_was(
    toy: Control, bench: Bench, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(*TWO) == 0
    before = pngs(out)
    capsys.readouterr()
    assert verify(out, "--slices", "5") == 0
    assert capsys.readouterr().out == "4 cells are as recorded; 5 slices came out the same again\n"
    assert pngs(out) == before


def test_verify_names_an_image_that_was_changed_and_one_that_is_gone(
    toy: Control, bench: Bench, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(*ONE) == 0
    images = next((out / "images").iterdir())
    changed = bytearray((images / "00003.png").read_bytes())
    changed[60] ^= 1
    (images / "00003.png").write_bytes(changed)
    (images / "00007.png").unlink()
    capsys.readouterr()
    assert verify(out, "--slices", "0") == 1
    told = capsys.readouterr().out
    assert "00003.png is not the image that was measured" in told
    assert "00007.png is missing" in told
    assert told.count("\n") == 2


def test_verify_names_weights_that_are_not_those_of_the_record(
    toy: Control, bench: Bench, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(*ONE) == 0
    change_weights(pytest.MonkeyPatch())
    assert verify(out, "--slices", "1") == 1
    assert "weights" in capsys.readouterr().out


def test_verify_names_images_that_come_out_otherwise(
    toy: Control, bench: Bench, out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bench(*ONE) == 0
    capsys.readouterr()
    monkeypatch.setattr(fakes.FakeADD, "factor", 0.8)  # the weights file is the same: the code is not
    assert verify(out, "--slices", "1") == 1
    told = capsys.readouterr().out
    assert "differs when it is made again" in told


def test_verify_of_nothing_is_a_request_without_sense(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(out) == 2
    assert "has no measured cells" in capsys.readouterr().err


def test_rounding_is_no_difference_and_a_changed_pixel_is() -> None:
    image = torch.full((3, 32, 32), 100, dtype=torch.uint8)
    rounded = image.clone()
    rounded[0, 0, :3] = 101  # 3 of 3,072 values, one level
    assert differs(image, image) is None
    assert differs(image, rounded) is None
    rounded[0, 0, :4] = 101
    assert differs(image, rounded) is not None  # 4 of 3,072 are more than a thousandth
    other = image.clone()
    other[0, 0, 0] = 102
    assert differs(image, other) == "0.03% of its values, by up to 2 of 255"


def test_a_draw_is_of_different_slices_and_the_same_for_a_seed(toy: Control, bench: Bench, out: Path) -> None:
    assert bench(*TWO) == 0
    found = list(read_records(out / "records"))
    drawn = draw(found, 7, 1)
    assert len({(item.record.cell, item.index) for item in drawn}) == 7
    assert drawn == draw(found, 7, 1)
    assert len(draw(found, 100, 1)) == 4 * 3
