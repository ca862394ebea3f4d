"""The files of the report that come from studies: ablations, claims, quality against budget."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.claims.ablated import ablated
from bench.claims.judge import judge_all
from bench.claims.table import CLAIMS
from bench.record import Record
from bench.report.budget import BUDGET_HEADS, HOW_SPENT, budget_csv_rows, budget_figure, budget_rows, kept_students
from bench.report.claim_files import csv_text
from bench.report.claims import (
    ABLATION_HEADS,
    CLAIM_HEADS,
    HOW_ABLATED,
    HOW_JUDGED,
    ablation_csv_rows,
    ablation_rows,
    claim_rows,
    evidence_csv_rows,
)
from bench.report.markdown import escape_markdown

SUITE = "shapes"


@dataclass(frozen=True)
class StudyTable:
    """One table for people, and the same with all numbers as CSV; `figures` are files below `figures/`."""

    name: str
    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    legend: str
    csv: str
    figures: dict[str, bytes]


def study_tables(records: Iterable[Record]) -> tuple[StudyTable, ...]:
    """The tables that the records have something for: none where no student of a study was measured."""
    known = [record for record in records if record.cell.suite == SUITE]
    if not any(record.cell.variant for record in known):
        return ()
    rows, judged, kept = ablated(known), judge_all(CLAIMS, known), kept_students(known)
    tables = [
        _table("claims", "Claims of the paper", CLAIM_HEADS, claim_rows(judged), HOW_JUDGED, evidence_csv_rows(judged))
    ]
    if any(record.cell.ablation for record in known):
        cells, numbers = ablation_rows(rows), ablation_csv_rows(rows)
        tables.append(_table("ablations", "Table 1 of the paper", ABLATION_HEADS, cells, HOW_ABLATED, numbers))
    if kept:
        title, cells, numbers = "Quality against training budget", budget_rows(kept), budget_csv_rows(kept)
        figures = budget_figure(kept)
        tables.append(_table("budget", title, BUDGET_HEADS, cells, HOW_SPENT, numbers, figures))
    return tuple(tables)


def study_files(records: Iterable[Record]) -> dict[str, bytes]:
    """{path below the report: bytes} of all of them."""
    files: dict[str, bytes] = {}
    for table in study_tables(records):
        files[f"tables/{table.name}.csv"] = table.csv.encode()
        files[f"tables/{table.name}.md"] = markdown(table).encode()
        files |= {f"figures/{name}": data for name, data in table.figures.items()}
    return files


def markdown(table: StudyTable) -> str:
    """The table as Markdown."""
    lines = [f"# {table.title}", "", table.legend, ""]
    lines += ["| " + " | ".join(table.heads) + " |", "|" + " --- |" * len(table.heads)]
    lines += ["| " + " | ".join(escape_markdown(cell) for cell in row) + " |" for row in table.rows]
    return "\n".join([*lines, ""])


def _table(
    name: str,
    title: str,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    legend: str,
    numbers: tuple[list[str], list[list[object]]],
    figures: dict[str, bytes] | None = None,
) -> StudyTable:
    cells = tuple(tuple(row) for row in rows)
    return StudyTable(name, title, tuple(heads), cells, legend, csv_text(*numbers), figures or {})
