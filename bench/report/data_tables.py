"""Tables as the page shows them: heads that sort, entries with interval, link, mark, or a dash and its reason."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.record import Record
from bench.report.display import Display
from bench.report.frame import label
from bench.report.sections import DataTable, Mark, Value
from bench.report.tables import Row, Table

LINE = 30
"""Letters from which a text is no number or name, which stand on one line."""


@dataclass(frozen=True)
class Head:
    """`first` is how a click sorts at first, `now` how the table is sorted when it opens."""

    title: str
    first: str = "ascending"
    now: str = "none"


@dataclass(frozen=True)
class Shown:
    """One entry. `sort` is a number, a text, or empty for what sorts last."""

    text: str
    interval: str = ""
    sort: str = ""
    link: str = ""
    reason: str = ""
    mark: Mark = ""


@dataclass(frozen=True)
class ShownTable:
    """The first entry of a row heads it. Rows may be chosen by the values of the column `chosen_by`."""

    caption: str
    heads: tuple[Head, ...]
    rows: tuple[tuple[Shown, ...], ...]
    chosen_by: int | None = None
    note: str = ""

    @property
    def wordy(self) -> tuple[bool, ...]:
        """Which columns hold sentences: those are set in lines, from the left."""
        return tuple(any(len(row[place].text) > LINE for row in self.rows) for place in range(len(self.heads)))


MISSING = "–"


def shown_frame(table: DataTable, links: Mapping[str, str]) -> ShownTable:
    """A data frame as the page shows it; `links` maps names of cells to where their numbers come from."""
    columns = [table.frame.iloc[:, place].tolist() for place in range(table.frame.shape[1])]
    heads = tuple(Head(str(name)) for name in table.frame.columns)
    rows = tuple(tuple(_shown(entry, links) for entry in row) for row in zip(*columns, strict=True))
    return ShownTable(table.caption, heads, rows)


def shown_results(
    table: Table, caption: str, links: Mapping[str, str], missing: Sequence[Record] = (), most: int | None = None
) -> ShownTable:
    """Results by method and steps; `missing` cells stand among them, as dashes and a reason.

    Of more rows than `most` those are shown that are best on the first column.
    """
    heads = (
        Head("Method"),
        Head("Steps", now="ascending"),
        *(Head(column.header, "descending" if column.higher_is_better else "ascending") for column in table.columns),
    )
    kept = _best(table.rows, table.columns, most)
    rows = [_result(row, links) for row in kept]
    rows += [_gap(record, len(table.columns), links) for record in missing[: None if most is None else most]]
    rows.sort(key=lambda row: (float(row[1].sort), row[0].text))
    note = ""
    if len(kept) < len(table.rows):
        best = f"The {len(kept):,} best on {table.columns[0].title} of {len(table.rows):,} rows are shown"
        note = f"{best}; tables/results.csv and the pages of the methods have all."
    return ShownTable(caption, heads, tuple(rows), chosen_by=1, note=note)


def _best(rows: Sequence[Row], columns: Sequence[Display], most: int | None) -> Sequence[Row]:
    if most is None or len(rows) <= most or not columns:
        return rows
    sign = -1.0 if columns[0].higher_is_better else 1.0

    def key(row: Row) -> float:
        value = row.entries[0].sort
        return math.inf if value is None else sign * value

    return sorted(rows, key=key)[:most]


def _result(row: Row, links: Mapping[str, str]) -> tuple[Shown, ...]:
    link = links[row.record.cell.name]
    entries = [
        Shown(MISSING, reason=_why(row.record, entry.quantity))
        if entry.value is None
        else Shown(entry.value, entry.low_high or "", repr(entry.sort), link, mark="best" if entry.best else "")
        for entry in row.entries
    ]
    return (Shown(row.method, sort=row.method, link=link), Shown(str(row.steps), sort=str(row.steps)), *entries)


def _gap(record: Record, count: int, links: Mapping[str, str]) -> tuple[Shown, ...]:
    """A cell that failed or is not supported: dashes, the first with its status."""
    cell = record.cell
    steps, link = str(cell.num_inference_steps), links[cell.name]
    dashes = [Shown(MISSING, reason=record.status if place == 0 else "") for place in range(count)]
    return (Shown(label(cell), sort=label(cell), link=link), Shown(steps, sort=steps), *dashes)


def _why(record: Record, quantity: str) -> str:
    """Why the record lacks that quantity, where it says so."""
    left_out = record.provenance.get("left_out")
    reason = left_out.get(quantity) if isinstance(left_out, Mapping) else None
    return str(reason) if reason else "not measured"


def _shown(entry: Any, links: Mapping[str, str]) -> Shown:
    if isinstance(entry, Value):
        sort = entry.text if entry.sort is None else str(entry.sort)
        link = entry.link or links.get(entry.record or "", "")
        return Shown(entry.text, entry.interval, sort, link, entry.reason, entry.mark)
    if entry is None or (isinstance(entry, float) and math.isnan(entry)):
        return Shown(MISSING)
    if isinstance(entry, float):
        return Shown(f"{entry:,.4g}", sort=repr(entry))
    return Shown(f"{entry:,}" if type(entry) is int else str(entry), sort=str(entry))


def plain(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> ShownTable:
    """A table of texts."""
    return ShownTable(caption, tuple(Head(head) for head in heads), tuple(tuple(_texts(row)) for row in rows))


def _texts(row: Sequence[str]) -> Iterator[Shown]:
    for text in row:
        yield Shown(text, sort="" if text == MISSING else text.split(" ")[0].replace(",", ""))
