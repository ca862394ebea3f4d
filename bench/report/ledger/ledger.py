"""All entries of the ledger from what the report has read; drawing a chart only where it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench.record import Record, read_records
from bench.report.frame import Group
from bench.report.ledger.ablated import ablated_rows
from bench.report.ledger.draw import alt_figure7, alt_study, draw_figure7, draw_figure11, draw_study
from bench.report.ledger.figure7 import answers, figure7, rate
from bench.report.ledger.figure11 import FOLDER, curve, figure11
from bench.report.ledger.find import miniature
from bench.report.ledger.lines import Entry, Picture
from bench.report.ledger.qualitative import GALLERIES, diagram, gallery
from bench.report.ledger.studies import study
from bench.report.ledger.table1 import table1
from bench.report.ledger.table2 import table2
from bench.report.sheets import Sheet, StoredPrompt

STUDIES = ("5", "6", "9", "10")


@dataclass(frozen=True)
class Sources:
    """What the ledger is made from: records, groups, the strips of each group by its slug, prompts."""

    results: Path
    records: Sequence[Record]
    groups: Sequence[Group]
    sheets: Mapping[str, Sequence[Sheet]]
    prompts: Sequence[StoredPrompt]

    @property
    def strips(self) -> Sequence[Sheet]:
        """Those of the embedded suite's group."""
        group = miniature(self.groups)
        return () if group is None else self.sheets.get(group.slug, ())


def ledger(sources: Sources, wanted: Sequence[str] = ()) -> list[Entry]:
    """The entries asked for by their slugs, all where none is named, in the paper's order."""
    return [make(sources) for slug, make in ENTRIES.items() if not wanted or slug in wanted]


def _table1(sources: Sources) -> Entry:
    return table1(ablated_rows(sources.records))


def _table2(sources: Sources) -> Entry:
    return table2(sources.groups)


def _study(sources: Sources, figure: str) -> Entry:
    entry = study(sources.groups, figure)
    drawn = Picture(
        f"figure{figure}-votes", draw_study(entry), alt_study(entry),
        "Per cent of votes for ADD. Hollow diamonds: people, read off the paper's figure, with the error of 400 votes. "
        "Filled dots: our judges, with 95 % intervals. Dashed: even odds.",
    )  # fmt: skip
    return replace(entry, pictures=(drawn,))


def _figure7(sources: Sources) -> Entry:
    found = answers(sources.groups)
    records = list({item.record.cell: item.record for item in found.values() if item.record is not None}.values())
    rated = rate(records)
    named = {item.record.cell.name: model for (model, _), item in found.items() if item.record is not None}
    drawn = Picture(
        "figure7-ratings", draw_figure7(rated, named), alt_figure7(rated),
        "Left: the paper's ratings, read off its figure. Right: ours; filled marks are Elo computed as in the paper, "
        "bars Bradley-Terry ratings of the same votes with 95 % intervals. Times are of different machines and models.",
    )  # fmt: skip
    return replace(figure7(sources.groups, rated, found), pictures=(drawn,))


def _figure11(sources: Sources) -> Entry:
    folders = sorted((sources.results / FOLDER).glob("*/records"))
    truncated = [record for folder in folders for record in read_records(folder)]
    plain = [record for group in sources.groups for record in group.measured]
    found = curve([*plain, *truncated])
    drawn = Picture(
        "figure11-truncation", draw_figure11(found),
        "Distance against text alignment along the truncation of GANs, the paper's on the left, ours on the right.",
    )  # fmt: skip
    return replace(figure11(found), pictures=(drawn,))


def _gallery(sources: Sources, number: str) -> Entry:
    known = next(item for item in GALLERIES if item.number == number)
    return gallery(known, sources.strips, sources.prompts)


def _diagram(_: Sources) -> Entry:
    return diagram()


ENTRIES: Mapping[str, Callable[[Sources], Entry]] = {
    "table1": _table1,
    "table2": _table2,
    "figure1": partial(_gallery, number="1"),
    "figure2": _diagram,
    "figure3": partial(_gallery, number="3"),
    "figure4": partial(_gallery, number="4"),
    "figure5": partial(_study, figure="5"),
    "figure6": partial(_study, figure="6"),
    "figure7": _figure7,
    "figure8": partial(_gallery, number="8"),
    "figure9": partial(_study, figure="9"),
    "figure10": partial(_study, figure="10"),
    "figure11": _figure11,
}
"""Every table and figure of the paper, in its order."""
