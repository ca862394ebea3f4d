"""Table 1 as published and as measured here: each row's scores, and its change against the default of its panel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bench.claims.ablations import ROWS, Row
from bench.claims.claim import ablation
from bench.claims.judge import SEEDS, by_seed, in_common
from bench.claims.pooled import Pooled, difference, mean
from bench.published.tables import PublishedRow, published, rule
from bench.record import Record

SHOWN = ("fd-shapes", "clip-shapes", "preference")
"""Scores of which every row has an interval over seeds and images."""

PRINTED = {"fd-shapes": ("fid", "fid_tie", False), "clip-shapes": ("clip_score", "clip_score_tie", True)}
"""Our score -> the paper's, the rule that says which of its differences are none, and whether higher is better."""

Change = Literal["better", "worse", "no difference", "cannot tell", "default"]


@dataclass(frozen=True)
class Measured:
    """A score of a row: over seeds and images, and its change against the default of the panel on the same images."""

    value: Pooled
    change: Pooled | None
    verdict: Change


@dataclass(frozen=True)
class AblatedRow:
    """One row, published and ours; `scores` is empty and `reason` says why where ours is not there.

    `same_as` is the row whose training this one shares, where that has another name; `records` are the names of the
    cells, by training seed.
    """

    row: Row
    published: PublishedRow
    printed: dict[str, Change]
    seeds: int
    scores: dict[str, Measured]
    same_as: str = ""
    reason: str | None = None
    records: tuple[str, ...] = ()

    def agreement(self, name: str) -> str:
        """Whether our change of a score goes where the paper's goes: reproduced, differs, or cannot tell."""
        if self.reason is not None or name not in self.printed:
            return ""
        ours, theirs = self.scores[name].verdict, self.printed[name]
        if "default" in (ours, theirs):
            return "default"
        if ours == "cannot tell":
            return ours
        return "reproduced" if ours == theirs else "differs"


def ablated(records: Iterable[Record]) -> tuple[AblatedRow, ...]:
    """Every row of the table, in its order, with what `records` have of it."""
    known = tuple(records)
    paper = {(row.keys["panel"], row.keys["setting"]): row for row in published("table1")}
    defaults = {row.panel: row for row in ROWS if paper[row.panel, row.setting].keys["default"] == "1"}
    return tuple(_ablated(row, paper, defaults[row.panel], known) for row in ROWS)


def _ablated(
    row: Row, paper: dict[tuple[str, str], PublishedRow], default: Row, records: tuple[Record, ...]
) -> AblatedRow:
    mine, base = paper[row.panel, row.setting], paper[default.panel, default.setting]
    printed = {name: _printed(name, mine, base) for name in PRINTED}
    found = by_seed(ablation(row.name), SHOWN[0], 1, records)
    if len(found) < 2:
        reason = f"{len(found)} of {SEEDS} training seeds; `python -m bench ablate {row.panel}` makes them"
        return AblatedRow(row, mine, printed, len(found), {}, reason=reason)
    scores = {name: _measured(name, row, default, records) for name in SHOWN}
    same_as = str(next(iter(found.values())).cell.ablation)
    names = tuple(record.cell.name for record in found.values())
    same_as = "" if same_as == row.name else same_as
    return AblatedRow(row, mine, printed, len(found), scores, same_as, records=names)


def _printed(name: str, mine: PublishedRow, base: PublishedRow) -> Change:
    """How the paper's score changes against the default of its panel."""
    if mine is base:
        return "default"
    quantity, tie, higher = PRINTED[name]
    change = mine.values[quantity].number - base.values[quantity].number
    if abs(change) <= rule(tie) * (1 + 1e-9):
        return "no difference"
    return "better" if (change > 0) == higher else "worse"


def _measured(name: str, row: Row, default: Row, records: tuple[Record, ...]) -> Measured:
    mine = by_seed(ablation(row.name), name, 1, records)
    others = by_seed(ablation(default.name), name, 1, records)
    values = [record.per_image[name] for record in mine.values()]
    value = mean(values)
    if row is default:
        return Measured(value, None, "default")
    rows, defaults = in_common([mine, others])
    if len(rows) < 2 or {record.cell for record in rows.values()} == {record.cell for record in defaults.values()}:
        return Measured(value, None, "cannot tell")
    change = difference(
        [record.per_image[name] for record in rows.values()],
        [record.per_image[name] for record in defaults.values()],
        same_seeds=True,
    )
    if change.low <= 0 <= change.high:
        return Measured(value, change, "cannot tell")
    quantity = next(iter(mine.values())).quantity(name)
    higher = quantity is not None and quantity.higher_is_better
    return Measured(value, change, "better" if (change.value > 0) == higher else "worse")
