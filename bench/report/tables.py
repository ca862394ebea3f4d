"""Tables of results: what stands in which row and column, what is bold, and the same as tidy CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from bench.record import Record
from bench.report.best import Verdict, marks, verdicts
from bench.report.breakdown import parts
from bench.report.display import Display, columns, digits, interval, number
from bench.report.frame import TIDY_COLUMNS, Group, label, series, steps_text, tidy
from bench.report.sheets import StoredPrompt
from bench.text import cell_text
from methods.registry import role

JUDGES = (
    "FD-shapes, KID-shapes, CLIP-shapes, Preference-shapes and Attributes are scores of the embedded suite's own "
    "judges, small networks trained on captioned shapes. They are comparable with each other and with nothing else: "
    "none of them is “FID”, a CLIP score or a PickScore of the literature."
)
NO_REASON = "no reason was recorded"
LATER = "later methods, no part of the paper's comparison"
HOW_MARKED = (
    "Intervals are 95 %. Bold: the best of the methods at the same number of steps, only where it beats every other "
    "beyond its interval or in a paired comparison over the images."
)


@dataclass(frozen=True)
class Entry:
    """One value as text; `low_high` is None where it has no uncertainty. Both are None where nothing was measured."""

    value: str | None
    low_high: str | None = None
    best: bool = False
    sort: float | None = None
    quantity: str = ""


@dataclass(frozen=True)
class Row:
    """One cell of the plan: its record and one entry a column."""

    record: Record
    method: str
    steps: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Table:
    """A group as rows and columns, with what can be said about the best."""

    group: Group
    columns: tuple[Display, ...]
    rows: tuple[Row, ...]
    verdicts: tuple[Verdict, ...]


@lru_cache(maxsize=64)
def results_table(group: Group) -> Table:
    """Everything that was measured in `group`."""
    shown = tuple(columns(group.measured))
    found = tuple(verdicts([record for record in group.measured if not is_later(record)], shown))
    best = marks(found)
    places = {column.name: digits(column, group.measured) for column in shown}
    rows = [
        Row(
            record=record,
            method=label(record.cell),
            steps=record.cell.num_inference_steps,
            entries=tuple(_entry(record, column, places[column.name], best) for column in shown),
        )
        for record in group.measured
    ]
    return Table(group, shown, tuple(rows), found)


def select(table: Table, names: Sequence[str]) -> Table:
    """The table with only the columns of those names, in that order; names that it lacks are left out."""
    index = {column.name: place for place, column in enumerate(table.columns)}
    keep = [index[name] for name in names if name in index]
    rows = tuple(
        Row(row.record, row.method, row.steps, tuple(row.entries[place] for place in keep)) for row in table.rows
    )
    return Table(table.group, tuple(table.columns[place] for place in keep), rows, table.verdicts)


def is_later(record: Record) -> bool:
    """Whether a record is of a method later than the paper: shown apart, and never called best among the others."""
    return role(record.cell.method) == "successor"


def apart(table: Table) -> list[tuple[str, Table]]:
    """(what the rows are, where that needs saying; the table with those rows alone): the comparison, then `LATER`."""
    parts = []
    for later, title in ((False, ""), (True, LATER)):
        rows = tuple(row for row in table.rows if is_later(row.record) is later)
        if rows:
            parts.append((title, replace(table, rows=rows)))
    return parts


def _entry(record: Record, column: Display, places: int, best: set[tuple[str, str]]) -> Entry:
    quantity = record.quantity(column.name)
    if quantity is None:
        return Entry(None, quantity=column.name)
    return Entry(
        value=number(quantity.value * column.factor, places),
        low_high=interval(quantity, column, places),
        best=(record.cell.name, column.name) in best,
        sort=quantity.value * column.factor,
        quantity=column.name,
    )


def findings(found: Iterable[Verdict], shown: Iterable[Display]) -> list[str]:
    """One sentence a step count: `At 1 step (add, lcm): add is best on FD-shapes; cannot tell on Attributes.`"""
    titles = {column.name: column.title for column in shown}
    told: dict[int, dict[str, list[str]]] = {}
    compared: dict[int, dict[str, None]] = {}
    for verdict in found:
        said = "cannot tell" if verdict.best is None else f"{label(verdict.best.cell)} is best"
        told.setdefault(verdict.steps, {}).setdefault(said, []).append(titles[verdict.quantity])
        compared.setdefault(verdict.steps, {}).update((label(record.cell), None) for record in verdict.compared)
    return [
        f"At {steps_text(steps)} ({', '.join(compared[steps])}): "
        + "; ".join(f"{said} on {', '.join(names)}" for said, names in _unclear_last(told[steps]))
        + "."
        for steps in sorted(told)
    ]


def _unclear_last(told: dict[str, list[str]]) -> list[tuple[str, list[str]]]:
    return sorted(told.items(), key=lambda item: item[0] == "cannot tell")


def results_csv(groups: Sequence[Group]) -> str:
    """One tidy row a (cell, quantity): `TIDY_COLUMNS`, the settings of its group, `best` and the record's name.

    `protocol` is the hash of the score's protocol: rows with different ones are not compared.
    """
    parts = [_csv_frame_rows(group) for group in groups]
    heads = [*TIDY_COLUMNS, "limit", "device", "dtype", "batch_size", "best", "protocol", "record"]
    return _csv(heads, [row for part in parts for row in part])


def breakdown_csv(groups: Sequence[Group], prompts: Sequence[StoredPrompt]) -> str:
    """One row a (cell, score of single images, kind of prompt)."""
    heads = ["suite", "method", "num_inference_steps", "seed", "quantity", "category"]
    rows: list[list[object]] = []
    for part in (part for group in groups for part in parts(group, prompts)):
        cell = part.record.cell
        place = [cell.suite, label(cell), cell.num_inference_steps, cell.seed, part.quantity, part.category]
        values = [f"{value:.6g}" for value in (part.value, part.low, part.high)]
        rows.append([*place, *values, part.n, cell.name])
    return _csv([*heads, "value", "ci_low", "ci_high", "n", "record"], rows)


def not_measured_csv(groups: Sequence[Group]) -> str:
    """Failed and unsupported cells with their reasons."""
    heads = ["suite", "method", "num_inference_steps", "guidance_scale", "seed", "limit", "status", "reason", "record"]
    rows: list[list[object]] = []
    for record in (record for group in groups for record in group.missing):
        cell = record.cell
        place = [cell.suite, series(cell), cell.num_inference_steps, cell.guidance_scale, cell.seed, cell.limit]
        rows.append([*place, record.status, record.reason, cell.name])
    return _csv(heads, rows)


def _csv_frame_rows(group: Group) -> list[list[object]]:
    best = marks(results_table(group).verdicts)
    key = group.key
    protocols = {(r.cell.name, item.name): item.protocol_hash for r in group.measured for item in r.quantities}
    rows: list[list[object]] = []
    for item in tidy(group.measured).itertuples(index=False):
        values = ["" if value != value else value for value in item]  # a scale that was not asked for is empty
        shared = [key.limit, key.device, key.dtype, key.batch_size]
        place = (item.record, item.quantity)
        rows.append([*values[:-1], *shared, place in best, protocols[place], item.record])
    return rows


def _csv(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows([cell_text(value) for value in row] for row in rows)
    return text.getvalue()
