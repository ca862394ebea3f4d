"""What the ledger adds to the page: a section that counts verdicts, and one for each table and figure of the paper."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bench.report.ledger.ledger import ENTRIES, Sources, ledger
from bench.report.ledger.lines import Entry
from bench.report.ledger.sections import section, summary
from bench.report.sections import Material, Section

Provider = Callable[[Material], Section | None]
_last: list[tuple[Material, list[Entry]]] = []


def _entries(material: Material) -> list[Entry]:
    """All entries; those of the last material are kept, since each of them is a section and all are counted."""
    if not _last or _last[0][0] is not material:
        sources = Sources(material.results, material.records, material.groups, material.sheets, material.prompts)
        _last[:] = [(material, ledger(sources))]
    return _last[0][1]


def _summary(material: Material) -> Section:
    return summary(_entries(material))


def _entry(material: Material, slug: str) -> Section:
    return section(next(entry for entry in _entries(material) if entry.slug == slug))


PROVIDERS: tuple[Provider, ...] = (_summary, *(partial(_entry, slug=slug) for slug in ENTRIES))
"""In the paper's order."""
