"""What the paper does not have: crossovers, drift, diversity, the health of the scores."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from bench.errors import RecordError
from bench.record import Record
from bench.report.crossovers import costs_of, crossovers, fronts_of
from bench.report.diversity import diversity, pairs
from bench.report.drift import apart, distance, drift, drifts, reference_of
from bench.report.frame import groups
from bench.report.health_panel import health_panel
from bench.report.sections import DataTable, Material, Prose
from bench.report.sheets import Sheet


def material(records: list[Record], results: Path = Path("results"), sheets: tuple[Sheet, ...] = ()) -> Material:
    found = groups(records)
    return Material(results, found, {group.slug: sheets for group in found}, (), records)


def timed(make: SimpleNamespace, method: str, steps: int, fixed: float, step: float, fd: float) -> Record:
    """A cell whose calls take `fixed + step * steps` seconds, give or take."""
    latency = fixed + step * steps
    item = make.record(
        method, steps, (make.quantity("latency_s", latency, 1e-5, unit="s"), make.quantity(value=fd, half=0.1))
    )
    return replace(item, samples={"latency_s": tuple(latency + 1e-6 * k for k in (-2, -1, 0, 1, 2))})


def test_the_line_and_the_steps_of_the_teachers_time(make: SimpleNamespace) -> None:
    records = [timed(make, "add", n, 0.010, 0.005, 9.0 / n) for n in (1, 4)]
    records += [timed(make, "sdxl", n, 0.010, 0.010, 30.0 / n) for n in (8, 25)]
    (group,) = groups(records)
    add, teacher = costs_of(group)
    assert (add.name, teacher.name) == ("add", "sdxl")
    assert add.line.slope_s[0] == pytest.approx(0.005, rel=1e-3)
    assert add.line.intercept_s[0] == pytest.approx(0.010, rel=1e-3)
    assert add.as_teacher == pytest.approx((0.260 - 0.010) / 0.005, rel=1e-2)  # the teacher takes 260 ms at 25
    front = [(point.name, point.steps) for _, point in fronts_of(group)]
    assert front == [("add", 1), ("add", 4), ("sdxl", 25)]  # 8 steps of the teacher are dearer and worse than 4 of ADD
    section = crossovers(material(records))
    assert section is not None
    assert {"tables/pareto-shapes.csv", "tables/latency-lines-shapes.csv"} == set(section.files)
    assert crossovers(material([make.record("add", 1, (make.quantity(),))])) is None


@pytest.fixture
def sheet(make: SimpleNamespace, tmp_path: Path) -> Callable[[str, int, list[int]], Sheet]:
    """Builds strips of flat grey images, one a prompt."""

    def build(method: str, steps: int, levels: list[int]) -> Sheet:
        pixels = np.concatenate([np.full((4, 4, 3), level, dtype=np.uint8) for level in levels], axis=1)
        path = tmp_path / f"{method}-{steps}.png"
        Image.fromarray(pixels).save(path)
        return Sheet(make.record(method, steps), path, 4, len(levels))

    return build


def test_drift_of_flat_images_is_the_difference_of_their_levels(sheet: Callable[..., Sheet]) -> None:
    teacher = sheet("sdxl-euler", 25, [10, 60, 110, 160])
    student = sheet("lcm", 4, [13, 63, 113, 163])
    exact = sheet("sdxl-euler", 8, [10, 60, 110, 160])
    assert reference_of([student, exact, teacher]) is teacher
    by_name = {item.cell.method: item for item in drifts([student, exact, teacher], teacher)}
    assert (by_name["lcm"].value, by_name["lcm"].low, by_name["lcm"].high) == (3.0, 3.0, 3.0)
    assert by_name["sdxl-euler"].value == 0.0
    assert apart(teacher) == pytest.approx((50 + 50 + 50 + 150) / 4)
    black, white = np.zeros((2, 2, 3), dtype=np.uint8), np.full((2, 2, 3), 255, dtype=np.uint8)
    assert distance(black, white) == 255.0  # uint8 would wrap round


def test_drift_is_shown_where_there_is_a_teacher(sheet: Callable[..., Sheet]) -> None:
    sheets = (sheet("sdxl-euler", 25, [1, 2, 3, 4]), sheet("lcm", 4, [5, 6, 7, 9]))
    section = drift(material([item.record for item in sheets], sheets=sheets))
    assert section is not None
    assert set(section.files) == {
        "figures/drift-steps-shapes.svg", "figures/drift-steps-shapes.png", "tables/drift-shapes.csv",
    }  # fmt: skip
    assert drift(material([sheets[1].record], sheets=sheets[1:])) is None


def test_diversity_meets_the_distance_of_the_same_method_and_steps(make: SimpleNamespace) -> None:
    records = [
        make.record("add", 1, (make.quantity(value=9.0),)), make.record("add", 4, (make.quantity(value=7.0),)),
        make.record("lcm", 1, (make.quantity("preference", 3.0),)),
        *(make.record(method, 1, (make.quantity("diversity", value, 0.1, higher=True),), images_per_prompt=4, limit=10)
          for method, value in (("add", 0.3), ("lcm", 0.5))),
    ]  # fmt: skip
    found = groups(records)
    several = next(group for group in found if group.key.images_per_prompt == 4)
    (pair,) = pairs(several, found)  # lcm has no distance
    assert (pair.record.cell.method, pair.diversity.value, pair.fidelity.value) == ("add", 0.3, 9.0)
    section = diversity(material(records))
    assert section is not None
    assert any(name.endswith(".svg") for name in section.files)
    assert diversity(material(records[:3])) is None


def test_diversity_is_compared_with_the_teacher_prompt_by_prompt(make: SimpleNamespace) -> None:
    def one(method: str, spreads: list[float]) -> list[Record]:
        score = make.quantity("diversity", float(np.mean(spreads)), 0.5, higher=True)
        kept = {"diversity": tuple(spreads)}
        spread = make.record(method, 1, (score,), images_per_prompt=4, limit=len(spreads), per_image=kept)
        return [spread, make.record(method, 1, (make.quantity(value=9.0),)), make.record(method, 4)]

    rng = np.random.default_rng(0)
    prompts = rng.uniform(0.0, 1.0, 40)
    nearly = (prompts + 0.01 + rng.normal(0, 0.001, 40)).tolist()
    records = [*one("sdxl-euler", prompts.tolist()), *one("add", nearly)]
    found = groups(records)
    teacher, student = sorted(pairs(found[1], found), key=lambda pair: pair.record.cell.method, reverse=True)
    assert teacher.is_teacher
    assert teacher.gain is None
    assert student.gain is not None
    assert student.gain.low < 0.01 < student.gain.high
    assert student.gain.high - student.gain.low < 0.001  # prompts differ by far more than the methods do
    section = diversity(material(records))
    assert section is not None
    table = next(data for name, data in section.files.items() if name.endswith(".csv")).decode()
    assert table.count("less the teacher's") == 1


def test_health_names_the_scores_that_fail(make: SimpleNamespace, tmp_path: Path) -> None:
    about = material([make.record("add", 1)], tmp_path)
    assert health_panel(about) is None
    row = {
        "metric": "fd-shapes",
        "better": "real",
        "worse": "noise",
        "verdict": "ordered",
        "values": [1.0, 9.0],
        "flagged": False,
    }
    bad = {**row, "metric": "clip-shapes", "verdict": "cannot tell", "flagged": True}
    (tmp_path / "health").mkdir()
    path = tmp_path / "health" / "health.json"
    path.write_text(json.dumps({"findings": [row, bad]}))
    section = health_panel(about)
    assert section is not None
    told, table = section.blocks
    assert isinstance(told, Prose)
    assert isinstance(table, DataTable)
    assert "clip-shapes" in told.text
    assert "fd-shapes" not in told.text
    assert [value.mark for value in table.frame["Verdict"]] == ["good", "unknown"]
    path.write_text("{}")
    with pytest.raises(RecordError, match=r"health\.json: not a check of metrics .*bench health --out"):
        health_panel(about)
