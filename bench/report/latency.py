"""What the report shows of `bench latency`: tables of totals and of stages, lines over the steps, and notes.

The sections are made by `bench.latency.report`; here is what they hold, and how they look as Markdown and on the page.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from bench.report.markdown import escape_markdown
from bench.report.sections import Block, DataTable, Prose, Section, Value


@dataclass(frozen=True)
class Grid:
    """A table of texts: `rows` have a text a head; the first head is the method, the second its number of steps."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class LatencySection:
    """The cells of one architecture or suite that were timed in one mode, batch size and place.

    `names` are those of the records in the order of the rows, `links` leads from a name to its record. `lines` say what
    an image costs and what a step adds, and where methods cross; `notes` what a reader must know.
    """

    title: str
    slug: str
    grids: tuple[Grid, ...]
    names: tuple[str, ...]
    links: tuple[str, ...]
    lines: tuple[str, ...]
    notes: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class LatencyReport:
    """All sections, and the same as tidy CSV: one row a (cell, quantity), and one a line over the steps."""

    sections: tuple[LatencySection, ...]
    csv: str
    lines_csv: str

    def files(self) -> dict[str, str]:
        """{path below the report: text}."""
        return {
            "tables/latency.md": latency_markdown(self.sections),
            "tables/latency.csv": self.csv,
            "tables/latency_lines.csv": self.lines_csv,
        }


def page_sections(sections: Sequence[LatencySection]) -> list[Section]:
    """The same as sections of the page; the first entry of a row leads to its record."""
    made = []
    for section in sections:
        blocks: list[Block] = [DataTable(_frame(grid, section.links), grid.title) for grid in section.grids]
        blocks += [Prose(text) for text in (*section.lines, *section.notes)]
        blocks += [Prose(f"Not measured: {text}") for text in section.missing]
        made.append(Section(section.slug, f"Latency: {section.title}", "Timed by `bench latency`.", tuple(blocks)))
    return made


def _frame(grid: Grid, links: Sequence[str]) -> pd.DataFrame:
    rows = [[Value(row[0], link=link), *row[1:]] for row, link in zip(grid.rows, links, strict=True)]
    return pd.DataFrame(rows, columns=list(grid.heads), dtype=object)


def latency_markdown(sections: Sequence[LatencySection]) -> str:
    """The whole `latency.md`."""
    lines = ["# Latency and cost", "", "Timed by `bench latency`; docs/latency.md says what each number is.", ""]
    for section in sections:
        lines += [f"## {escape_markdown(section.title)}", ""]
        for grid in section.grids:
            lines += [f"### {grid.title}", "", *_rows(grid), ""]
        for heading, texts in (("What a step costs", section.lines), ("Notes", section.notes)):
            if texts:
                lines += [f"### {heading}", "", *(f"- {escape_markdown(text)}" for text in texts), ""]
        if section.missing:
            lines += ["### Not measured", "", *(f"- {escape_markdown(text)}" for text in section.missing), ""]
    return "\n".join(lines)


def _rows(grid: Grid) -> list[str]:
    lines = [_pipe(escape_markdown(head) for head in grid.heads)]
    lines.append(_pipe([":--", *["--:"] * (len(grid.heads) - 1)]))
    return lines + [_pipe(escape_markdown(text) for text in row) for row in grid.rows]


def _pipe(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
