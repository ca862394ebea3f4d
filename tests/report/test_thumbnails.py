"""Strips made from stored images: the first prompts in their order, once, and damaged images are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.record import Record
from bench.report.sheets import read_prompts, read_sheets
from bench.report.thumbnails import make_missing_strips


@pytest.fixture
def stored(make, tmp_path: Path) -> tuple[Path, Record]:
    """A cell with five images of one colour each, and no strip."""
    record = make.record("add", 1)
    folder = make.write_results(tmp_path, [record], prompts=tuple(f"prompt {n}" for n in range(5)))
    (folder / "sheets" / f"{record.cell.name}.png").unlink()
    images = folder / "images" / record.cell.name
    images.mkdir(parents=True)
    for index in range(5):
        Image.fromarray(np.full((4, 4, 3), 50 * index, np.uint8)).save(images / f"{index:05d}.png")
    return folder, record


def test_a_strip_is_made_once_in_the_order_of_the_prompts(stored: tuple[Path, Record]) -> None:
    folder, record = stored
    prompts = read_prompts(folder)
    assert make_missing_strips(folder, [record], prompts) == []
    (sheet,) = read_sheets(folder, (record,))
    assert [int(sheet.image(index)[0, 0, 0]) for index in range(sheet.count)] == [0, 50, 100, 150, 200]
    before = sheet.path.stat().st_mtime_ns
    assert make_missing_strips(folder, [record], prompts) == []
    assert sheet.path.stat().st_mtime_ns == before


def test_it_ends_before_the_first_image_that_is_missing(stored: tuple[Path, Record]) -> None:
    folder, record = stored
    (folder / "images" / record.cell.name / "00002.png").unlink()
    make_missing_strips(folder, [record], read_prompts(folder))
    (sheet,) = read_sheets(folder, (record,))
    assert sheet.count == 2


def test_a_damaged_image_is_named_and_no_strip_is_written(stored: tuple[Path, Record]) -> None:
    folder, record = stored
    (folder / "images" / record.cell.name / "00001.png").write_bytes(b"no picture")
    (problem,) = make_missing_strips(folder, [record], read_prompts(folder))
    assert record.cell.name in problem
    assert "00001.png" in problem
    assert read_sheets(folder, (record,)) == ()
