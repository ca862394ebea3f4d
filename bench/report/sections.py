"""Further sections of the page: tables and figures of any subject, from one small data structure.

A part of the report that is more than the results of one group (published values beside ours, claims, training budgets)
is a function `(Material) -> Section | None` in a module of its own, and one line in `bench.report.build.PROVIDERS`.
The page then shows it between the results and the records, with an entry in its contents; its files are written and
checked with all others. A provider that has nothing to show gives None.

    frame = pd.DataFrame({"Method": ["add", "lcm"], "Published": ["23.4", Value.missing("not in the paper")],
                          "Ours": [Value("7.28", "[5.50, 9.31]", sort=7.28, record="add-1-n1000-1372ba"), ...]})
    Section("table-1a", "Table 1a: the discriminator's features", "What the paper asks, in a sentence or two.",
            (DataTable(frame, "FD-shapes at 1 step, lower is better."), Figure("figure-7", "What one sees, in words")),
            {"figures/figure-7.svg": svg, "figures/figure-7.png": png, "tables/table-1a.csv": csv})

Everything that is text is escaped by the template: a method or a prompt may be called anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pandas as pd

from bench.record import Record
from bench.report.frame import Group
from bench.report.sheets import Sheet, StoredPrompt

Mark = Literal["", "best", "good", "bad", "unknown"]
"""What stands behind a value in colour and, for those who see no colour, is said by its text: a verdict, the best."""


@dataclass(frozen=True)
class Value:
    """One entry of a table.

    `text` is shown, `interval` small below it. `sort` is what a column is sorted by (the text where None). `record` is
    the name of the cell that the number comes from: the page links it to its record and the command that makes it
    again. `reason` says why a value is missing.
    """

    text: str
    interval: str = ""
    sort: float | str | None = None
    record: str | None = None
    reason: str = ""
    mark: Mark = ""

    @classmethod
    def missing(cls, reason: str) -> Value:
        """A dash that says why there is no number."""
        return cls("–", sort="", reason=reason)


@dataclass(frozen=True)
class DataTable:
    """A sortable table. The frame's columns are the heads, its index is not shown.

    An entry is a `Value`, a number, a text, or None or NaN for a dash. The first column heads its row.
    """

    frame: pd.DataFrame
    caption: str


@dataclass(frozen=True)
class Figure:
    """A figure below `figures/`: the page shows `<stem>.svg`, or `<stem>.png` where there is no SVG.

    `alt` says in words what one sees, `caption` (the same where empty) stands below it.
    """

    stem: str
    alt: str
    caption: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Prose:
    """A paragraph of plain text between tables and figures."""

    text: str


Block = DataTable | Figure | Prose


@dataclass(frozen=True)
class Section:
    """A part of the page. `slug` is its anchor and unique; `files` maps paths below the report folder to contents."""

    slug: str
    title: str
    lead: str = ""
    blocks: Sequence[Block] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Material:
    """What a section may be made from: everything that the report has read.

    `records` are all there are, those that stand in no group too.
    """

    results: Path
    groups: Sequence[Group]
    sheets: Mapping[str, Sequence[Sheet]]
    prompts: Sequence[StoredPrompt]
    records: Sequence[Record] = ()
