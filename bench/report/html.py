"""The page: one static `index.html` that works from disk."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.record import Record
from bench.report.breakdown import Breakdown, breakdown
from bench.report.display import Display, columns
from bench.report.figures import COST, front, points
from bench.report.frame import Group, label, steps_text
from bench.report.sheets import Sheet, StoredPrompt
from bench.report.tables import HOW_MARKED, JUDGES, NO_REASON, Table, findings, results_table, select

GENERATOR = '<meta name="generator" content="fewstep-bench report">'
"""Stands in every page that this project writes, so that no other page is ever overwritten."""

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Picture:
    """A figure with what it shows in words, for those who cannot see it."""

    stem: str
    alt: str


@dataclass(frozen=True)
class Tile:
    """One method in the image browser: its strip and how many images that holds."""

    name: str
    steps: str
    sheet: str
    count: int


@dataclass(frozen=True)
class Source:
    """Where the numbers of one cell come from."""

    anchor: str
    name: str
    status: str
    reason: str
    link: str
    command: str | None
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Section:
    """Everything that the page shows of one group."""

    title: str
    slug: str
    table: Table
    tables: tuple[tuple[str, Table], ...]
    parted: Breakdown | None
    links: Mapping[str, str]
    protocols: tuple[tuple[str, str], ...]
    findings: tuple[str, ...]
    lead: Picture | None
    charts: tuple[Picture, ...]
    grids: tuple[Picture, ...]
    tiles: tuple[tuple[str, tuple[Tile, ...]], ...]
    prompts: tuple[StoredPrompt, ...]
    sources: tuple[Source, ...]


def page(
    groups: Sequence[Group],
    figures: Mapping[str, bytes],
    sheets: Mapping[str, Sequence[Sheet]],
    prompts: Sequence[StoredPrompt],
    base: str,
) -> str:
    """The whole page.

    Args:
        groups: what was measured.
        figures: file names below `figures/`, of which the page shows those that are there.
        sheets: the strips of each group, by its slug.
        prompts: the prompts that the strips were made from.
        base: the results folder as seen from the page, such as `results`.
    """
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    sections = [_section(group, figures, sheets.get(group.slug, ()), prompts, base) for group in groups]
    return environment.get_template("index.html").render(
        sections=sections, how_marked=HOW_MARKED, judges=JUDGES, no_reason=NO_REASON
    )


def relative(results: Path, out: Path) -> str:
    """`results` as a link from a page in `out`, the same on every system."""
    return quote(Path(os.path.relpath(results.resolve(), out.resolve())).as_posix())


def _section(
    group: Group,
    figures: Mapping[str, bytes],
    sheets: Sequence[Sheet],
    prompts: Sequence[StoredPrompt],
    base: str,
) -> Section:
    table = results_table(group)
    by_name = {column.name: column for column in table.columns}
    records = (*group.measured, *group.missing)
    links = {record.cell.name: f"{base}/records/{quote(record.cell.name)}.json" for record in records}
    shown = tuple(prompts[: max((sheet.count for sheet in sheets), default=0)])
    quality = [verdict for verdict in table.verdicts if by_name[verdict.quantity].kind == "quality"]
    return Section(
        title=group.key.title,
        slug=group.slug,
        table=table,
        tables=tuple(_tables(table)),
        parted=breakdown(group, prompts),
        links=links,
        protocols=tuple(_protocols(table)),
        findings=tuple(findings(quality, table.columns)),
        lead=_lead(group, table.columns, figures),
        charts=_charts(group, figures),
        grids=_grids(group, sheets, figures),
        tiles=_tiles(sheets, base) if shown else (),
        prompts=shown,
        sources=tuple(_source(record, links[record.cell.name]) for record in records),
    )


def _tables(table: Table) -> Iterator[tuple[str, Table]]:
    """(title, table): quality with latency beside it, then all that a cell costs."""
    cost = [column.name for column in table.columns if column.kind == "cost"]
    quality = [column.name for column in table.columns if column.kind == "quality"]
    if quality:
        yield "Quality and latency", select(table, [*quality, COST])
    if cost:
        yield "Cost", select(table, cost)


def _protocols(table: Table) -> Iterator[tuple[str, str]]:
    """(title, settings) of every score that has any; they are the same for all cells of the group."""
    for column in table.columns:
        found = (record.quantity(column.name) for record in table.group.measured)
        protocol = next(quantity.protocol for quantity in found if quantity is not None)
        if protocol:
            yield column.title, "; ".join(f"{name}: {value}" for name, value in sorted(protocol.items()))


def _lead(group: Group, shown: Sequence[Display], figures: Mapping[str, bytes]) -> Picture | None:
    stem = f"quality-latency-{group.slug}"
    if f"{stem}.svg" not in figures:
        return None
    quality = next(column for column in shown if column.kind == "quality")
    cost = next(column for column in columns(group.measured) if column.name == COST)
    chosen = front(points(group.measured, quality, cost), quality)
    best = ", ".join(f"{item.name} at {steps_text(item.steps)}" for item in chosen)
    return Picture(stem, f"{quality.title} against latency. On the Pareto front, the fastest first: {best}.")


def _charts(group: Group, figures: Mapping[str, bytes]) -> tuple[Picture, ...]:
    known = (
        (
            f"quality-steps-{group.slug}",
            "Quality against steps, with 95 % intervals. Dotted: the teacher; dashed: even odds.",
        ),
        (f"quality-latency-all-{group.slug}", "Every quality score against latency, with the Pareto front of each."),
    )
    return tuple(Picture(stem, alt) for stem, alt in known if f"{stem}.svg" in figures)


def _grids(group: Group, sheets: Sequence[Sheet], figures: Mapping[str, bytes]) -> tuple[Picture, ...]:
    wanted = re.compile(rf"grid-{re.escape(group.slug)}-\d+\.webp")
    stems = sorted((name.removesuffix(".webp") for name in figures if wanted.fullmatch(name)), key=len)
    rows = ", ".join(f"{label(sheet.record.cell)} {sheet.record.cell.num_inference_steps}" for sheet in sheets)
    alt = f"Images of the same prompts and seeds, a column each; rows, method and steps: {rows}."
    return tuple(Picture(stem, alt) for stem in stems)


def _tiles(sheets: Sequence[Sheet], base: str) -> tuple[tuple[str, tuple[Tile, ...]], ...]:
    """Tiles by number of steps."""
    rows: dict[str, list[Tile]] = {}
    for sheet in sheets:
        cell = sheet.record.cell
        steps = steps_text(cell.num_inference_steps)
        tile = Tile(label(cell), steps, f"{base}/sheets/{quote(sheet.file)}", sheet.count)
        rows.setdefault(steps, []).append(tile)
    return tuple((steps, tuple(tiles)) for steps, tiles in rows.items())


def _source(record: Record, link: str) -> Source:
    cell = record.cell
    return Source(
        anchor=f"cell-{cell.name}",
        name=f"{label(cell)}, {steps_text(cell.num_inference_steps)}",
        status=record.status,
        reason="" if record.status == "ok" else record.reason or NO_REASON,
        link=link,
        command=_command(record.provenance.get("command")),
        facts=tuple(_facts(record)),
    )


def _command(value: Any) -> str | None:
    if isinstance(value, str):
        return value or None
    if isinstance(value, (list, tuple)):
        return shlex.join(str(part) for part in value)
    return None


def _flat(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(`machine cpu`, value) of every leaf, sorted by name."""
    for name, value in sorted(data.items()):
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", value


def _facts(record: Record) -> list[tuple[str, str]]:
    """What made the record, as far as it says so in plain values; and what stands beside its scores."""
    facts = [
        (name, str(value))
        for name, value in _flat(record.provenance)
        if name != "command" and isinstance(value, (str, int, float, bool)) and str(value)
    ]
    for quantity in record.quantities:
        for name, value in sorted(quantity.parts.items()):
            facts.append((f"{quantity.name}, {name}", f"{value:.6g}"))
    return facts
