"""Sections of the page that come from studies: the claims of the paper, and quality against training budget."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench.claims.judge import Judged, Verdict, judge_all
from bench.claims.table import CLAIMS
from bench.record import Record
from bench.report.budget import BUDGET_HEADS, HOW_SPENT, budget_csv_rows, budget_figure, budget_rows, kept_students
from bench.report.claim_files import csv_text
from bench.report.claims import CLAIM_HEADS, HOW_JUDGED, because, evidence_csv_rows
from bench.report.sections import DataTable, Figure, Mark, Material, Section, Value

SUITE = "shapes"
_MARKS: dict[Verdict, Mark] = {"holds": "good", "does not": "bad", "cannot tell": "unknown"}


def claims_section(material: Material) -> Section | None:
    """Each claim with its verdict; None where the records are of other suites."""
    known = _own(material.records)
    if not known:
        return None
    judged = judge_all(CLAIMS, known)
    caption = f"{HOW_JUDGED} “python -m bench claims” prints the same."
    blocks = (DataTable(pd.DataFrame([_line(item) for item in judged], columns=list(CLAIM_HEADS)), caption),)
    files = {"tables/claims.csv": csv_text(*evidence_csv_rows(judged)).encode()}
    lead = "What the paper says, asked again here, over training seeds and images of the test split."
    return Section("claims", "Claims of the paper", lead, blocks, files)


def budget_section(material: Material) -> Section | None:
    """Quality after shares of a training, in three currencies; None where no student was kept on its way."""
    found = kept_students(_own(material.records))
    if not found:
        return None
    drawn = budget_figure(found)
    alt = "Frechet distance against teacher evaluations, student images and seconds of training, a line a method"
    figures = (Figure("quality-budget", alt, wide=True),) if drawn else ()
    table = DataTable(pd.DataFrame(budget_rows(found), columns=list(BUDGET_HEADS)), HOW_SPENT)
    files = {"tables/budget.csv": csv_text(*budget_csv_rows(found)).encode()}
    lead = "How good a student is after part of its training, by what the training had taken until then."
    return Section(
        "budget", "Quality against training budget", lead, (*figures, table),
        files | {f"figures/{name}": data for name, data in drawn.items()},
    )  # fmt: skip


def _line(item: Judged) -> list[Value | str]:
    verdict = Value(item.verdict, mark=_MARKS[item.verdict])
    return [item.claim.text, item.claim.source, verdict, because(item).replace("`", "")]


def _own(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if record.cell.suite == SUITE]
