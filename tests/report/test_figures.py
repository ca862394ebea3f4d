"""Figures: the right points, the same bytes whatever the user's settings, and images enlarged without smoothing."""

from __future__ import annotations

import io
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from bench.errors import RecordError
from bench.record import Record
from bench.report.display import display
from bench.report.figures import figures, front, points
from bench.report.frame import groups
from bench.report.grids import GAP, TILE, compose, enlarge, grids, row_tops, rows
from bench.report.sheets import Sheet, read_prompts, read_sheets
from bench.report.style import TEACHERS, looks
from bench.strips import write_strip


def test_points_are_in_the_units_that_are_shown(make):
    group = groups(make.example_records())[0]
    quality, cost = (display(group.measured[0].quantity(name)) for name in ("fd-shapes", "latency_s"))
    found = points(group.measured, quality, cost)
    assert [(p.name, p.steps, p.value, round(p.cost, 6)) for p in front(found, quality)] == [
        ("add", 1, 9.0, 4.0), ("add", 4, 7.0, 9.0), ("sdxl", 25, 6.0, 90.0),
    ]  # fmt: skip


def test_charts_are_whole_and_do_not_depend_on_the_users_settings(make):
    group = groups([make.record("add", 1, (make.quantity(), make.quantity("latency_s", 0.01, 0.001, unit="s")))])[0]
    made = figures(group)
    assert sorted(made) == [f"quality-{kind}-shapes.{end}" for kind in ("latency", "steps") for end in ("png", "svg")]
    with mpl.rc_context({"font.size": 30, "svg.hashsalt": None, "axes.facecolor": "red"}):
        assert figures(group) == made
        assert mpl.rcParams["font.size"] == 30
    for name, data in made.items():
        if name.endswith("svg"):
            assert ET.fromstring(data).tag.endswith("svg")
            assert b"<dc:date>" not in data
        else:
            assert "Software" not in Image.open(io.BytesIO(data)).info


def test_nothing_measured_draws_nothing(make):
    assert figures(groups([make.missing("add", 1, "failed", "lost")])[0]) == {}


def test_quality_without_latency_draws_steps_only(make):
    made = figures(groups([make.record("add", 1, (make.quantity(),))])[0])
    assert sorted(made) == ["quality-steps-shapes.png", "quality-steps-shapes.svg"]


def test_dollars_in_a_name_are_no_mathematics(make):
    assert figures(groups([make.record("a$_{x$", 1, (make.quantity(),))])[0])


def test_every_series_looks_different():
    names = [f"method{number}" for number in range(20)] + list(TEACHERS)
    found = looks(names)
    assert len({(look.colour, look.marker, look.dashes) for look in found.values()}) == len(names)


def sheet(folder: Path, record: Record, values: list[int], side: int = 4) -> Sheet:
    """A strip of flat grey images of those values."""
    path = folder / "sheets" / f"{record.cell.name}.webp"
    write_strip([np.full((side, side, 3), value, np.uint8) for value in values], path)
    (found,) = read_sheets(folder, (record,))
    return found


def test_rows_are_methods_and_columns_are_prompts(make, tmp_path):
    sheets = [sheet(tmp_path, make.record("add", 1), [10, 20]), sheet(tmp_path, make.record("add", 4), [30, 40])]
    pixels = compose(sheets, [0, 1])
    top = row_tops(sheets)[1]
    middle = TILE // 2
    assert [pixels[y, x, 0] for y in (middle, top + middle) for x in (middle, TILE + GAP + middle)] == [10, 20, 30, 40]


def test_enlarging_makes_no_new_colours():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    large = enlarge(image, 128)
    assert np.array_equal(large[::16, ::16], image)
    assert np.array_equal(large, image.repeat(16, axis=0).repeat(16, axis=1))


def test_the_grid_shows_the_first_eight_prompts_without_loss(make, tmp_path):
    folder = make.write_results(tmp_path, [make.record("add", 1)], prompts=tuple(f"prompt {n}" for n in range(9)))
    found = groups([make.record("add", 1)])[0]
    (only,) = read_sheets(folder, found.measured)
    (data,) = grids(found.slug, [only], read_prompts(folder)).values()
    drawn = np.asarray(Image.open(io.BytesIO(data)))
    assert drawn.shape[1] > 8 * TILE > drawn.shape[1] - 2 * TILE
    colours = set(map(tuple, drawn.reshape(-1, 3)))
    stored = only.pixels[:, : 8 * only.size].reshape(-1, 3)
    assert set(map(tuple, stored)) <= colours


def test_a_grid_of_many_cells_has_each_method_once_at_its_fewest_steps(make, tmp_path):
    names = [f"method-{number:02}" for number in range(10)]
    sheets = [sheet(tmp_path, make.record(name, steps), [0]) for steps in (8, 1, 4) for name in names]
    assert [(row.record.cell.method, row.record.cell.num_inference_steps) for row in rows(sheets)] == [
        (name, 1) for name in names
    ]
    assert rows(sheets[:16]) == sheets[:16]


def test_a_grid_shows_one_of_the_teachers_samplers_and_ends_with_its_most_steps(make, tmp_path):
    names = ["add", "sdxl-euler", "sdxl-ddim"]
    few = [sheet(tmp_path, make.record(name, steps), [0]) for steps in (1, 4) for name in names]
    cells = [(row.record.cell.method, row.record.cell.num_inference_steps) for row in rows(few)]
    assert cells == [("add", 1), ("sdxl-euler", 1), ("add", 4), ("sdxl-euler", 4)]
    many = few + [sheet(tmp_path, make.record(f"m{number:02}", 1), [0]) for number in range(14)]
    cells = [(row.record.cell.method, row.record.cell.num_inference_steps) for row in rows(many)]
    assert len(cells) == 16
    assert cells[-1] == ("sdxl-euler", 4)
    assert ("add", 4) not in cells


def test_damaged_sheets_and_prompts_are_named(make, tmp_path):
    record = make.record("add", 1)
    folder = make.write_results(tmp_path, [record])
    path = folder / "sheets" / f"{record.cell.name}.png"
    Image.fromarray(np.zeros((8, 12, 3), np.uint8)).save(path)
    with pytest.raises(RecordError, match="12x8 is no strip"):
        read_sheets(folder, (record,))
    path.write_bytes(b"no picture")
    with pytest.raises(RecordError, match="not a readable image"):
        read_sheets(folder, (record,))
    (folder / "prompts.json").write_text('[{"id": "1"}]')
    with pytest.raises(RecordError, match="not a list of prompts"):
        read_prompts(folder)


def test_a_picture_keeps_its_frequent_colours_exactly_and_the_rest_nearly(make):
    group = groups(make.example_records())[0]
    data = figures(group)["quality-latency-shapes.png"]
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "P"
        pixels = np.asarray(image.convert("RGB"))
    assert tuple(pixels[0, 0]) == (255, 255, 255)
    colours = set(map(tuple, pixels.reshape(-1, 3).tolist()))
    assert {(255, 255, 255), (0, 114, 178)} <= colours  # the paper and a series
    assert len(colours) <= 256


def test_the_words_of_a_figure_are_words_and_its_numbers_short(make):
    group = groups([*make.example_records(), make.record("v1.23456", 1, make.example_records()[0].quantities)])[0]
    text = figures(group)["quality-latency-shapes.svg"].decode()
    assert "v1.23456 · 1" in text  # what is text is not rounded
    assert "Latency of one image" in text
    inside = [number for tag in re.findall("<[^>]*>", text) for number in re.findall(r"[0-9]+[.]([0-9]+)", tag)]
    assert max(map(len, inside[5:])) <= 2
