"""A page for each method: all its numbers, its images, and for each cell the record and the command that made it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment

from bench.record import Record
from bench.report.browser import Browser, browser
from bench.report.data_tables import ShownTable, shown_results
from bench.report.frame import Group, method_name
from bench.report.naming import safe_name
from bench.report.sheets import Sheet, StoredPrompt
from bench.report.sources import METHODS, Source, anchor, method_file, sources
from bench.report.tables import Table


@dataclass(frozen=True)
class MethodPart:
    """One method in one group."""

    title: str
    slug: str
    table: ShownTable | None
    browser: Browser | None
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class MethodLink:
    """A method as the index lists it."""

    name: str
    link: str
    cells: int


def method_links(groups: Sequence[Group]) -> tuple[MethodLink, ...]:
    """All methods by name."""
    by_name = _by_method(groups)
    return tuple(
        MethodLink(name, f"{METHODS}/{method_file(records[0])}", len(records)) for name, records in by_name.items()
    )


def method_pages(
    environment: Environment,
    tables: Mapping[str, Table],
    groups: Sequence[Group],
    sheets: Mapping[str, Sequence[Sheet]],
    prompts: Sequence[StoredPrompt],
    base: str,
) -> dict[str, str]:
    """{path below the report: page}; `tables` by the slug of their group, `base` as `methods/` sees the results."""
    template = environment.get_template("method.html")
    by_group = [(group, _by_method([group])) for group in groups]
    pages = {}
    for name, records in _by_method(groups).items():
        shared, found = sources(records, base)
        by_anchor = {source.anchor: source for source in found}
        parts = [
            _part(group, tables[group.slug], mine, sheets.get(group.slug, ()), prompts, by_anchor, base)
            for group, by_name in by_group
            if (mine := by_name.get(name))
        ]
        pages[f"{METHODS}/{method_file(records[0])}"] = template.render(name=name, parts=parts, shared=shared)
    return pages


def _part(
    group: Group,
    table: Table,
    records: Sequence[Record],
    sheets: Sequence[Sheet],
    prompts: Sequence[StoredPrompt],
    by_anchor: Mapping[str, Source],
    base: str,
) -> MethodPart:
    names = {record.cell.name for record in records}
    links = {record.cell.name: f"#{anchor(record)}" for record in records}
    own = Table(group, table.columns, tuple(row for row in table.rows if row.record.cell.name in names), ())
    missing = [record for record in records if record.status != "ok"]
    shown = shown_results(own, "Everything that was measured", links, missing) if table.columns else None
    return MethodPart(
        title=group.key.title,
        slug=safe_name(group.slug),
        table=shown,
        browser=browser([sheet for sheet in sheets if sheet.record.cell.name in names], prompts, base),
        sources=tuple(by_anchor[anchor(record)] for record in records),
    )


def _by_method(groups: Sequence[Group]) -> Mapping[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for group in groups:
        for record in (*group.measured, *group.missing):
            found.setdefault(method_name(record.cell), []).append(record)
    return dict(sorted(found.items()))
