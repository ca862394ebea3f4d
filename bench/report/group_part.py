"""What the page shows of one group: its figures, tables, images and protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.report.breakdown import Breakdown
from bench.report.browser import Browser, browser
from bench.report.data_tables import Head, Shown, ShownTable, plain, shown_results
from bench.report.display import Display, columns
from bench.report.figures import COST, front, points
from bench.report.frame import Group, label, steps_text
from bench.report.grids import rows as grid_rows
from bench.report.sections import Figure
from bench.report.sheets import Sheet, StoredPrompt
from bench.report.tables import NO_REASON, Table, apart, findings, is_later, select


@dataclass(frozen=True)
class GroupPart:
    """Everything that the page shows of one group."""

    title: str
    slug: str
    tables: tuple[ShownTable, ...]
    parted: ShownTable | None
    missing: ShownTable | None
    protocols: tuple[tuple[str, str], ...]
    findings: tuple[str, ...]
    lead: Figure | None
    charts: tuple[Figure, ...]
    grid: Figure | None
    browser: Browser | None


def group_part(
    group: Group,
    table: Table,
    parted: Breakdown | None,
    figures: Mapping[str, bytes],
    sheets: Sequence[Sheet],
    prompts: Sequence[StoredPrompt],
    links: Mapping[str, str],
    base: str,
    most: int,
) -> GroupPart:
    """The part of `group`, with at most `most` rows a table; `links` maps names of cells to their details."""
    by_name = {column.name: column for column in table.columns}
    quality = [verdict for verdict in table.verdicts if by_name[verdict.quantity].kind == "quality"]
    return GroupPart(
        title=group.key.title,
        slug=group.slug,
        tables=tuple(_tables(table, links, most)),
        parted=None if parted is None else _parted(parted, links, most),
        missing=_missing(group, links, most),
        protocols=tuple(_protocols(table)),
        findings=tuple(findings(quality, table.columns)),
        lead=_lead(group, table.columns, figures),
        charts=_charts(group, figures),
        grid=_grid(group, sheets, figures),
        browser=browser(sheets, prompts, base),
    )


def _tables(table: Table, links: Mapping[str, str], most: int) -> Iterator[ShownTable]:
    """Quality with latency beside it, then all that a cell costs."""
    cost = [column.name for column in table.columns if column.kind == "cost"]
    quality = [column.name for column in table.columns if column.kind == "quality"]
    wanted = {"Quality and latency": [*quality, COST]} if quality else {}
    wanted |= {"Cost": cost} if cost else {}
    for title, names in wanted.items():
        for who, part in apart(select(table, names)):
            missing = [record for record in table.group.missing if is_later(record) is bool(who)]
            yield shown_results(part, f"{title}: {who}" if who else title, links, missing, most)


def _parted(parted: Breakdown, links: Mapping[str, str], most: int) -> ShownTable:
    rows = [[method, str(steps), *texts] for method, steps, texts, _ in parted.rows[:most]]
    names = [name for *_, name in parted.rows[:most]]
    table = plain(f"{parted.title} by kind of prompt", ["Method", "Steps", *parted.heads], rows)
    linked = (
        (*row[:2], *(replace(shown, link=links.get(name, "")) for shown in row[2:]))
        for row, name in zip(table.rows, names, strict=True)
    )
    return replace(table, rows=tuple(linked))


def _missing(group: Group, links: Mapping[str, str], most: int) -> ShownTable | None:
    if not group.missing:
        return None
    rows = []
    for record in group.missing[:most]:
        cell = record.cell
        name, steps = label(cell), str(cell.num_inference_steps)
        link, reason = links[cell.name], record.reason or NO_REASON
        status = Shown(record.status, sort=record.status, mark="bad")
        rows.append((Shown(name, sort=name, link=link), Shown(steps, sort=steps), status, Shown(reason, sort=reason)))
    heads = tuple(Head(title) for title in ("Method", "Steps", "Status", "Reason"))
    left = len(group.missing) - len(rows)
    note = f"{left:,} more stand in tables/not_measured.csv." if left else ""
    return ShownTable("Not measured", heads, tuple(rows), note=note)


def _protocols(table: Table) -> Iterator[tuple[str, str]]:
    """(title, settings) of every score that has any; they are the same for all cells of the group."""
    for column in table.columns:
        found = (record.quantity(column.name) for record in table.group.measured)
        protocol = next(quantity.protocol for quantity in found if quantity is not None)
        if protocol:
            yield column.title, "; ".join(f"{name}: {value}" for name, value in sorted(protocol.items()))


def _lead(group: Group, shown: Sequence[Display], figures: Mapping[str, bytes]) -> Figure | None:
    stem = f"quality-latency-{group.slug}"
    if f"{stem}.svg" not in figures:
        return None
    quality = next(column for column in shown if column.kind == "quality")
    cost = next(column for column in columns(group.measured) if column.name == COST)
    chosen = front(points(group.measured, quality, cost), quality)
    best = ", ".join(f"{item.name} at {steps_text(item.steps)}" for item in chosen)
    alt = f"{quality.title} against latency. On the Pareto front, the fastest first: {best}."
    return Figure(stem, alt, f"{alt} The number at a point is its steps; bars are 95 % intervals.")


def _charts(group: Group, figures: Mapping[str, bytes]) -> tuple[Figure, ...]:
    known = (
        ("quality-steps", "Quality against steps, with 95 % intervals. Dotted: the teacher; dashed: even odds."),
        ("quality-latency-all", "Every quality score against latency, with the Pareto front of each."),
    )
    found = (Figure(f"{stem}-{group.slug}", alt, wide=True) for stem, alt in known)
    return tuple(figure for figure in found if f"{figure.stem}.svg" in figures)


def _grid(group: Group, sheets: Sequence[Sheet], figures: Mapping[str, bytes]) -> Figure | None:
    stem = f"grid-{group.slug}-1"
    if f"{stem}.webp" not in figures:
        return None
    rows = grid_rows(sheets)
    listed = ", ".join(f"{label(sheet.record.cell)} {sheet.record.cell.num_inference_steps}" for sheet in rows)
    alt = f"Images of the same prompts and seeds, a column each; rows, method and steps: {listed}."
    chosen = "" if len(rows) == len(sheets) else " Each method at its fewest steps; the browser above has all."
    caption = (
        "The first prompts of the suite, in its order. Rows: method and steps. Columns: the same prompt and seed, "
        f"enlarged without smoothing.{chosen}"
    )
    return Figure(stem, alt, caption, wide=True)
