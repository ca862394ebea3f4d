"""Which cells are there already. No torch: a command that has nothing to do answers at once.

A record counts as done where it is of this schema, did not fail, holds the metrics asked for, and was made from the
same weights: the suite's manifest of hashes is the same, or the folder given by `--weights` has the same content.
Versions of libraries do not count; they stand in the record, and `--force` measures again.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.following import checkpoint_of, row_of
from bench.metrics.weights import JudgeFiles
from bench.plan import Plan
from bench.provenance import file_hash, folder_hash
from bench.record import Cell, Record, read_record


class Resume:
    """What is there of `plan`, read from the records of its out folder.

    Raises:
        RecordError: on `done`, where a record of the plan cannot be read (with `--force` it is replaced unread).
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    @cached_property
    def done(self) -> dict[Cell, Record]:
        """The finished cells with their records, in the order of the plan."""
        if self._plan.force:
            return {}
        paths = {cell: self._plan.out.record(cell) for cell in self._plan.cells}
        records = {cell: read_record(path) for cell, path in paths.items() if path.is_file()}
        return {cell: record for cell, record in records.items() if self._is_done(cell, record)}

    @property
    def pending(self) -> tuple[Cell, ...]:
        """The cells still to measure, in the order of the plan."""
        return tuple(cell for cell in self._plan.cells if cell not in self.done)

    def origin(self, cell: Cell) -> dict[str, Any]:
        """What the weights of `cell` are judged by before they are loaded; part of every record."""
        folder = self._plan.weights.get(cell.method)
        if folder is not None:
            return {"folder": self._folder_hash(folder)}
        if cell.family is not None:
            return {"checkpoint": list(checkpoint_of(row_of(cell)))}
        return {"manifest": self._manifest}

    def _is_done(self, cell: Cell, record: Record) -> bool:
        if record.status == "failed" or record.cell != cell:
            return False
        if record.provenance.get("origin") != self.origin(cell):
            return False
        if record.provenance.get("loading", {}) != self._plan.loading:
            return False
        if record.status == "unsupported":
            return True
        return set(self._plan.metrics) <= _covered(record.provenance) and self._same_judges(record)

    def _same_judges(self, record: Record) -> bool:
        """Whether the record was made with the judges that are given now; by names and sizes of their files."""
        used = record.provenance.get("judge_files", {})
        return all(used.get(name) == listing for name, listing in self._listing.items())

    @cached_property
    def _listing(self) -> dict[str, str]:
        return JudgeFiles(self._plan.metric_weights).listing()

    @cached_property
    def _manifest(self) -> str | None:
        manifest = self._plan.suite.manifest
        return file_hash(manifest) if manifest is not None and manifest.is_file() else None

    def _folder_hash(self, folder: Path) -> str:
        if folder not in self._folders:
            self._folders[folder] = folder_hash(folder)
        return self._folders[folder]

    @cached_property
    def _folders(self) -> dict[Path, str]:
        return {}


def _covered(provenance: Mapping[str, Any]) -> set[str]:
    """Metrics measured, and those left out for a reason that stands in the record."""
    return {*provenance.get("metrics", ()), *provenance.get("left_out", {})}
