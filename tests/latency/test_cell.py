"""Cells with a size and a mode: new ones have names of their own, old ones keep theirs, tables keep them apart."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from bench.record import Cell, Quantity, Record, read_record, read_records, write_record
from bench.report.frame import groups

STORED = Path(__file__).parents[2] / "reports" / "results" / "records"
CELL = Cell("sdxl-random", "add", 1, None, 0, 1, "cpu", "float32", 1)


def record(cell: Cell) -> Record:
    latency = Quantity("latency_s", 1.0, 0.9, 1.1, 20, "s", False, {"mode": cell.mode})
    return Record(cell, "ok", None, (latency,), {}, {"latency_s": (1.0,)}, {})


def test_stored_cells_keep_their_names() -> None:
    paths = sorted(STORED.glob("*.json"))
    assert paths
    assert [r.cell.name for r in read_records(STORED)] == [path.stem for path in paths]


def test_size_and_mode_are_part_of_a_name() -> None:
    cells = [CELL, replace(CELL, mode="compile"), replace(CELL, height=512, width=512), replace(CELL, height=512)]
    assert len({cell.name for cell in cells}) == len(cells)


def test_a_record_states_what_is_not_default(tmp_path: Path) -> None:
    sized = replace(CELL, height=512, width=768, mode="graphs")
    path = write_record(record(sized), tmp_path)
    assert read_record(path).cell == sized
    plain = json.loads(write_record(record(CELL), tmp_path).read_text())["cell"]
    assert not {"height", "width", "mode"} & set(plain)


def test_modes_and_sizes_do_not_share_a_table() -> None:
    cells = [CELL, replace(CELL, method="lcm"), replace(CELL, mode="compile"), replace(CELL, height=512, width=512)]
    found = groups([record(cell) for cell in cells])
    assert sorted(len(group.measured) for group in found) == [1, 1, 2]
    assert len({group.slug for group in found}) == 3
    assert any(group.key.title.endswith("512 x 512") for group in found)
