"""Our difference between a row and the row that it is held against, with its interval.

Scores of single images (and pseudo-values of a distance) are compared image by image; whether a difference can be told
rests on Student's t over prompts with Holm's correction over the table (`bench.report.differences`). What is measured
once a cell, such as a latency, is compared by intervals that do not overlap.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.record import Quantity, Record
from bench.report.differences import differences
from bench.report.display import display
from bench.report.ledger.verdict import Change


def changes(records: Sequence[Record], reference: Record | None, quantity: str) -> dict[str, Change]:
    """Cell name -> its difference from `reference`, for every record that has one; none without a reference."""
    if reference is None or (base := reference.quantity(quantity)) is None:
        return {}
    others = {record.cell.name: record for record in records if record.cell != reference.cell}
    paired = differences([(record, reference) for record in others.values()], [display(base)])
    found = {
        item.one.cell.name: Change(item.value, item.low, item.high, item.verdict != "cannot tell") for item in paired
    }
    for name, record in others.items():
        own = record.quantity(quantity)
        if name not in found and own is not None:
            found[name] = apart(own, base)
    return found


def apart(one: Quantity, other: Quantity) -> Change:
    """The difference of two independent values; its interval is as wide as both together, so it is told cautiously."""
    low, high = one.ci_low - other.ci_high, one.ci_high - other.ci_low
    certain = one.ci_low == one.ci_high and other.ci_low == other.ci_high
    return Change(one.value - other.value, low, high, not certain and (low > 0 or high < 0))
