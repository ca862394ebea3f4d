"""The file of a record: read by people, packed, closed by a digest; files of earlier versions still load."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from bench.errors import RecordError
from bench.record import Cell, Quantity, Record, read_record, write_record

CELL = Cell("shapes", "add", 1, None, 0, 100, "cpu", "float32", 50)
VALUES = {"score": tuple(float(f"{index**0.5:.6g}") for index in range(100))}
SCORE = Quantity("score", 6.6, 6.0, 7.2, 100, "", True, {"extractor": "eye"})
RECORD = Record(CELL, "ok", None, (SCORE,), VALUES, {"latency_s": (0.1, 0.2)}, {"code": {"dirty": False}})


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes, indent=4))


def test_a_record_comes_back_and_is_small_and_readable(tmp_path: Path) -> None:
    path = write_record(RECORD, tmp_path)
    assert read_record(path) == RECORD
    lines = path.read_text().splitlines()
    assert any(line.startswith('  {"ci_high":7.2') for line in lines)  # a line a quantity
    assert '  "latency_s": [0.1,0.2]' in lines


def test_the_form_of_earlier_versions_still_loads(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(json.dumps(asdict(RECORD) | {"cell": CELL.stated}, indent=1, sort_keys=True))
    assert read_record(path) == RECORD


def test_spacing_does_not_matter_but_a_value_edited_by_hand_does(tmp_path: Path) -> None:
    path = write_record(RECORD, tmp_path)
    edit(path)  # spaced anew, nothing changed
    assert read_record(path) == RECORD
    edit(path, quantities=[asdict(SCORE) | {"value": 6.7}])
    with pytest.raises(RecordError, match=f"{path.name}: changed after it was written") as error:
        read_record(path)
    assert "--force" in str(error.value)


def test_packed_values_are_under_the_digest_too(tmp_path: Path) -> None:
    path = write_record(RECORD, tmp_path)
    edit(path, per_image={"score": list(VALUES["score"][::-1])})
    with pytest.raises(RecordError, match="changed after it was written"):
        read_record(path)
