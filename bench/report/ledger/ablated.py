"""Our rows of Table 1, from the records of ablations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench.claims.ablated import PRINTED, AblatedRow, Measured, ablated
from bench.record import Record
from bench.report.display import digits_of, number
from bench.report.ledger.lines import Shown, bracketed
from bench.report.ledger.table1 import Ablated
from bench.report.ledger.verdict import Change


def ablated_rows(records: Iterable[Record]) -> Mapping[tuple[str, str], Ablated]:
    """(panel, setting) -> our row; nothing where no ablation was measured."""
    known = tuple(records)
    if not any(record.cell.ablation for record in known):
        return {}
    return {(item.row.panel, item.row.setting): _ablated(item) for item in ablated(known)}


def _ablated(item: AblatedRow) -> Ablated:
    if item.reason is not None:
        return Ablated({}, {}, item.reason, item.row.ours)
    scores = {name: item.scores[name] for name in PRINTED}
    values = {name: _shown(score, item.records[0]) for name, score in scores.items()}
    changes = {name: change for name, score in scores.items() if (change := _change(score)) is not None}
    return Ablated(values, changes, ours=item.row.ours)


def _shown(score: Measured, record: str) -> Shown:
    value, low, high = score.value.value, score.value.low, score.value.high
    places = digits_of((high - low) / 2)
    return Shown(number(value, places), bracketed(low, high, places), value, record, low=low, high=high)


def _change(score: Measured) -> Change | None:
    if score.change is None:
        return None
    return Change(score.change.value, score.change.low, score.change.high, score.verdict in ("better", "worse"))
