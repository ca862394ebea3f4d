"""Which cells are timed already. No torch: a command that has nothing to do answers at once."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from bench.latency.plan import LatencyPlan
from bench.provenance import file_hash, folder_hash
from bench.record import Cell, Record, read_record


class LatencyResume:
    """A record counts as done where it did not fail, and was made by the same protocol from the same weights.

    Raises:
        RecordError: on `done`, where a record of the plan cannot be read (with `--force` it is replaced unread).
    """

    def __init__(self, plan: LatencyPlan) -> None:
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
        """The cells still to time, in the order of the plan."""
        return tuple(cell for cell in self._plan.cells if cell not in self.done)

    def origin(self, cell: Cell) -> dict[str, Any]:
        """What the weights of `cell` are judged by before they are loaded; part of every record."""
        plan = self._plan
        if plan.architecture is not None:
            return {"architecture": plan.architecture.sha256}
        if cell.method in plan.weights:
            return {"folder": folder_hash(plan.weights[cell.method])}
        manifest = plan.suite.manifest if plan.suite is not None else None
        return {"manifest": file_hash(manifest) if manifest is not None and manifest.is_file() else None}

    def _is_done(self, cell: Cell, record: Record) -> bool:
        if record.status == "failed" or record.cell != cell or record.provenance.get("origin") != self.origin(cell):
            return False
        return record.status == "unsupported" or record.provenance.get("protocol") == self._plan.protocol
