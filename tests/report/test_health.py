"""A score that the health controls flag is flagged in the report; a check of another judge says nothing about it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.cli import main
from bench.record import Quantity, Record, write_record
from bench.report.health import health_checks
from tests.report.conftest import quantity, record

LINE = "fd-shapes does not put noise below real (3.1 against 2.9): cannot tell"


def control(flagged: dict[str, list[str]], *quantities: Quantity) -> Record:
    made = record("health-real", 0, quantities)
    return replace(made, provenance={**made.provenance, "health": {"flagged": flagged}})


@pytest.fixture
def measured() -> list[Record]:
    scores = (quantity("fd-shapes", 9.0), quantity("clip-shapes", 30.0, higher=True))
    return [record("add", 1, scores), record("lcm", 1, scores)]


def test_a_flag_stands_in_the_report(measured: list[Record], tmp_path: Path) -> None:
    for item in measured:
        write_record(item, tmp_path / "records")
    write_record(control({"fd-shapes": [LINE]}, *measured[0].quantities), tmp_path / "health" / "records")
    assert main(["report", "--results", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "tables" / "results.md").read_text(encoding="utf-8")
    assert f"- FD-shapes is flagged by the health controls of shapes (40 images each): {LINE}." in text
    assert "- CLIP-shapes orders the health controls of shapes (40 images each)." in text
    assert "health-real" not in text.split("## shapes")[1]  # a control is no method


def test_a_check_of_another_judge_suite_or_score_is_left_out(measured: list[Record], tmp_path: Path) -> None:
    other = quantity("fd-shapes", 1.0, extractor_weights="another")
    write_record(control({"fd-shapes": [LINE]}, other), tmp_path / "health" / "records")
    assert health_checks(tmp_path, measured) == []
    same = control({"fd-shapes": [LINE]}, quantity("fd-shapes", 1.0), quantity("kid-shapes", 1.0))
    write_record(same, tmp_path / "health" / "records")
    assert [item.quantity for item in health_checks(tmp_path, measured)] == ["fd-shapes"]
    elsewhere = [replace(item, cell=replace(item.cell, suite="coco2017-5k")) for item in measured]
    assert health_checks(tmp_path, elsewhere) == []


def test_a_report_without_controls_says_nothing(measured: list[Record], tmp_path: Path) -> None:
    assert health_checks(tmp_path, measured) == []
