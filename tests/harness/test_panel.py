"""The protocol panel: one thing changed at a time, on images whose distances are known to move."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from bench.cli import main
from bench.commands.panel import text
from bench.errors import UsageError
from bench.metrics.distances import frechet_distance, gaussian
from bench.metrics.features import extract
from bench.panel import COUNTS, DRAWS, Panel, Row, panel
from tests.harness import fakes
from tests.harness.fakes import Control
from tests.metrics.tiny import RandomExtractor, shapes


def blocks() -> Iterator[Tensor]:
    yield shapes(30)
    yield shapes(20, start=30)


def test_each_row_changes_one_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.panel.COUNTS", (20, 40, 80))
    usual, other = RandomExtractor(), RandomExtractor(resize="half", seed=8)
    real = shapes(60, start=5000)
    found = panel(blocks, [usual, other], lambda extractor: extract(real, extractor))
    assert [row.changed for row in found.rows] == ["", "codec", "codec", "resize", "n", "n", *["reference"] * DRAWS]
    assert [row.n for row in found.rows if row.changed == "n"] == [20, 40]  # 80 are not there
    usual_features = [gaussian(extract(images, usual).double().numpy()) for images in (shapes(50), real)]
    expected = frechet_distance(generated=usual_features[0], reference=usual_features[1])
    assert found.rows[0].value == pytest.approx(expected, rel=1e-9)
    jpeg = [row.value for row in found.rows if row.changed == "codec"]
    assert len({found.rows[0].value, *jpeg}) == 3
    assert found.rows[3].resize == "half"
    draws = [row.value for row in found.rows if row.changed == "reference"]
    assert len(set(draws)) == DRAWS
    again = panel(blocks, [usual, other], lambda extractor: extract(real, extractor))
    assert again == found
    values = [row.value for row in found.rows if row.n == 50]
    assert found.spread_at_n == max(values) - min(values)
    assert found.spread >= found.spread_at_n


def test_the_gap_is_put_beside_the_spread() -> None:
    row = Row("", "png", "none", 50, "60", 10.0)
    found = Panel((row, replace(row, changed="codec", codec="jpeg 75", value=12.0)), 50)
    assert "+2.000" in text(found, None)
    assert "gap" not in text(found, None)
    assert "the spread at this n is 4.00 times it: the protocol alone can make it" in text(found, 0.5)
    assert "0.50 times it: larger than what the protocol makes" in text(found, 4.0)
    assert min(COUNTS) == 1000


def test_one_image_is_too_few() -> None:
    with pytest.raises(UsageError, match="at least 2 images, not 1"):
        panel(lambda: iter([shapes(1)]), [RandomExtractor()], lambda e: torch.zeros(4, 24))


def test_the_command(
    toy: Control, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for index, image in enumerate(shapes(12)):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / f"{index}.png")
    options = ["panel", str(tmp_path), "--suite", "toy", "--device", "cpu"]
    assert main(options) == 2
    assert "suite 'toy' has no reference images" in capsys.readouterr().err
    monkeypatch.setattr(fakes.ToySuite, "reference_images", lambda self: iter([shapes(20, start=100)]))
    assert main([*options, "--gap", "0.1"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("jpeg") == 2
    assert "spread at n = 12:" in shown
    for wrong, message in ((["--gap", "0"], "--gap 0 is not a gap"), (["--device", "tpu"], "'tpu' is not one of")):
        assert main([*options, *wrong]) == 2
        assert message in capsys.readouterr().err
    assert main(["panel", str(tmp_path / "none"), "--suite", "toy"]) == 2
    (tmp_path / "empty").mkdir()
    assert main(["panel", str(tmp_path / "empty"), "--suite", "toy", "--device", "cpu"]) == 2
    assert "has no .png images" in capsys.readouterr().err
