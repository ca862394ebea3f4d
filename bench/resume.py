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
from bench.record_index import RecordIndex


class Resume:
    """What is there of `plan`, read from the records of its out folder.

    Raises:
        RecordError: on `pending` and `done`, where a record of the plan cannot be read; `--force` replaces it unread.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    @cached_property
    def done(self) -> dict[Cell, Record]:
        """The finished cells with their records, in the order of the plan."""
        return {cell: read_record(self._plan.out.record(cell)) for cell in self._finished}

    @property
    def pending(self) -> tuple[Cell, ...]:
        """The cells still to measure, in the order of the plan. Records that the index knows are not read."""
        return tuple(cell for cell in self._plan.cells if cell not in self._finished)

    @cached_property
    def _finished(self) -> dict[Cell, None]:
        if self._plan.force:
            return {}
        index = RecordIndex(self._plan.out.root)
        facts = {cell: index.facts(self._plan.out.record(cell).name) for cell in self._plan.cells}
        return {cell: None for cell, found in facts.items() if found is not None and self._is_done(cell, found)}

    def origin(self, cell: Cell) -> dict[str, Any]:
        """What the weights of `cell` are judged by before they are loaded; part of every record."""
        folder = self._plan.weights.get(cell.method)
        if folder is not None:
            return {"folder": self._folder_hash(folder)}
        if cell.family is not None:
            return {"checkpoint": list(checkpoint_of(row_of(cell)))}
        return {"manifest": self._manifest}

    def _is_done(self, cell: Cell, facts: Mapping[str, Any]) -> bool:
        if facts["status"] == "failed" or facts["cell"] != cell.stated:
            return False
        if facts["origin"] != self.origin(cell) or facts["loading"] != self._plan.loading:
            return False
        if facts["status"] == "unsupported":
            return True
        return set(self._plan.metrics) <= set(facts["covered"]) and self._same_judges(facts["judge_files"])

    def _same_judges(self, used: Mapping[str, str]) -> bool:
        """Whether the record was made with the judges that are given now; by names and sizes of their files."""
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
