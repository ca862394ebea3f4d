"""A record that was changed after it was written is found when it is read."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.errors import RecordError
from bench.record import read_record, write_record


@pytest.fixture
def path(make: SimpleNamespace, tmp_path: Path) -> Path:
    item = make.record("add", 1, (make.quantity(value=9.5),), {"fd-shapes": (1.0, 2.5, 1e-7)})
    return write_record(item, tmp_path)


def test_what_is_written_is_read_again(path: Path, make: SimpleNamespace) -> None:
    assert read_record(path) == make.record("add", 1, (make.quantity(value=9.5),), {"fd-shapes": (1.0, 2.5, 1e-7)})
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))  # as a checkout on Windows may have it
    read_record(path)


@pytest.mark.parametrize(("old", "new"), [("9.5", "3.5"), ('"add"', '"lcm"'), ('"ok"', '"failed"'), ("\n ", "\n  ")])
def test_an_edit_is_named_with_both_hashes(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(RecordError, match=r"add-1.*json: edited after it was written .*states sha256 [0-9a-f]{12}"):
        read_record(path)


def test_a_record_of_before_there_were_hashes_is_read(path: Path) -> None:
    data = json.loads(path.read_text())
    del data["sha256"]
    path.write_text(json.dumps(data))
    assert read_record(path).quantities[0].value == 9.5
