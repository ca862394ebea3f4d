"""Where the numbers of a cell come from: its record, the command that measures it again, and what made it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from bench.record import Record
from bench.report.frame import label, method_name, steps_text
from bench.report.naming import safe_name
from bench.report.tables import NO_REASON

METHODS = "methods"
"""The folder of the pages of single methods, below the report."""

Facts = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Source:
    """One cell. `facts` are those that it does not share with the other cells of its page."""

    anchor: str
    name: str
    status: str
    reason: str
    link: str
    command: str | None
    facts: Facts


def method_file(record: Record) -> str:
    """The file of its method's page, below `METHODS`."""
    return f"{safe_name(method_name(record.cell))}.html"


def anchor(record: Record) -> str:
    """The anchor of its cell on the page of its method."""
    return f"cell-{safe_name(record.cell.name)}"


def cell_link(record: Record) -> str:
    """From the index to the cell on the page of its method."""
    return f"{METHODS}/{method_file(record)}#{anchor(record)}"


def record_link(record: Record, base: str) -> str:
    """To the record's file, from a page that sees the results folder as `base`."""
    return f"{base}/records/{quote(record.cell.name, safe='')}.json"


def sources(records: Sequence[Record], base: str) -> tuple[Facts, tuple[Source, ...]]:
    """What all the cells share, and each cell with the rest."""
    each = [_facts(record) for record in records]
    first = each[0] if each else {}
    shared = {name for name, value in first.items() if all(facts.get(name) == value for facts in each)}
    found = [_source(record, facts, shared, base) for record, facts in zip(records, each, strict=True)]
    return tuple((name, value) for name, value in first.items() if name in shared), tuple(found)


def _source(record: Record, facts: Mapping[str, str], shared: set[str], base: str) -> Source:
    cell = record.cell
    return Source(
        anchor=anchor(record),
        name=f"{label(cell)}, {steps_text(cell.num_inference_steps)}",
        status=record.status,
        reason="" if record.status == "ok" else record.reason or NO_REASON,
        link=record_link(record, base),
        command=_command(record.provenance.get("command")),
        facts=tuple((name, value) for name, value in (*facts.items(), *_parts(record)) if name not in shared),
    )


def _command(value: Any) -> str | None:
    if isinstance(value, str):
        return value or None
    if isinstance(value, (list, tuple)):
        return shlex.join(str(part) for part in value)
    return None


def _facts(record: Record) -> dict[str, str]:
    """What made the record, as far as it says so in plain values."""
    return {
        name: str(value)
        for name, value in _flat(record.provenance)
        if name != "command" and isinstance(value, (str, int, float, bool)) and str(value)
    }


def _parts(record: Record) -> Iterator[tuple[str, str]]:
    """What stands beside its scores."""
    for quantity in record.quantities:
        for name, value in sorted(quantity.parts.items()):
            yield f"{quantity.name}, {name}", f"{value:.6g}"


def _flat(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(`machine cpu`, value) of every leaf, sorted by name."""
    for name, value in sorted(data.items()):
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", value
