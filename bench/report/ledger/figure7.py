"""Figure 7: ratings against inference time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from bench.published.tables import PublishedRow, counterpart, published, rule
from bench.record import Record
from bench.report.frame import Group
from bench.report.ledger.elo import Array, Pair, Strengths, bradley_terry, elo, mean_strengths
from bench.report.ledger.find import Found, answer, full_size, miniature
from bench.report.ledger.lines import Entry, Line, Part, Shown, change_text, published_change, shown
from bench.report.ledger.table2 import value_of
from bench.report.ledger.verdict import Change, Verdict, by_order, by_value, not_comparable
from bench.report.ledger.votes import QUESTIONS, votes

REFERENCE = ("ADD-XL", "4")
IS_REFERENCE = "a rating is only of those who take part; the other rows are held against it"
TIME = "an A100 in mixed precision there, another model on another machine here"
TIMED = "the time of one image at 512 x 512, where the model itself was timed on an A100"
A100 = "A100"


@dataclass(frozen=True)
class Rated:
    """Ratings of some cells against each other: Elo, and Bradley-Terry where it is finite, in the cells' order."""

    records: tuple[Record, ...]
    elo: Array
    strengths: Strengths | None

    def place(self, record: Record) -> int:
        """Where a record stands among them."""
        return self.records.index(record)


def rate(records: Sequence[Record]) -> Rated | None:
    """Rate cells by every pair's votes on both questions; None for fewer than two, or where a score is missing."""
    if len(records) < 2:
        return None
    ratings, strengths = [], []
    for question in QUESTIONS:
        counted: dict[Pair, Array] = {}
        for i, j in combinations(range(len(records)), 2):
            found = votes(records[i], records[j], question, int(rule("votes_per_pair")))
            if found is None:
                return None
            counted[i, j] = found.scores
        ratings.append(_elo(counted, len(records)))
        strengths.append(bradley_terry(counted, len(records), start=rule("elo_start")))
    finite = [item for item in strengths if item is not None]
    both = mean_strengths(finite) if len(finite) == len(QUESTIONS) else None
    return Rated(tuple(records), np.mean(ratings, axis=0), both)


def _elo(counted: Mapping[Pair, Array], models: int) -> Array:
    return elo(counted, models, replays=int(rule("elo_replays")), k=rule("elo_k"), start=rule("elo_start"))


def answers(groups: Sequence[Group]) -> dict[tuple[str, str], Found]:
    """What answers to each model of the figure."""
    group = miniature(groups)
    return {_key(row): answer(group, "study", *_key(row)) for row in published("figure7")}


def figure7(groups: Sequence[Group], rated: Rated | None, found: Mapping[tuple[str, str], Found]) -> Entry:
    """The entry of the figure; `rated` are the records of `found`, rated against each other."""
    rows = published("figure7")
    parts = (
        _part([_rating(row, rows, found, rated) for row in rows], "elo", "Elo ↑", "Elo; Bradley-Terry ↑",
              f"order against {REFERENCE[0]} at {REFERENCE[1]} steps: is a model rated higher or lower?"),
        _part([_time(row, found, groups) for row in rows], "time_s", "Time (s) ↓", "Latency (s) ↓", TIMED),
    )  # fmt: skip
    return Entry(
        "figure7",
        "Figure 7: performance against speed",
        "Elo as the paper computes it: K = 1 from 1000, the mean of both questions' ratings, over 1000 replays in "
        "shuffled order, with 400 votes a pair and question. Beside it Bradley-Terry ratings of the same votes, which "
        "depend on no order and have intervals (over prompts). A rating is relative to those who take part, so ratings "
        "of a smaller field are not the paper's; their order is comparable.",
        parts,
        command="python -m bench reproduce figure7",
    )


def _part(lines: Sequence[Line], name: str, title: str, ours: str, compared: str) -> Part:
    slug = f"figure7-{name.removesuffix('_s')}"
    return Part(slug, f"Figure 7, {title.split(' ')[0]}", ("Model", "Steps"), title, ours, tuple(lines), compared,
                f"less {REFERENCE[0]}, {REFERENCE[1]}")  # fmt: skip


def _rating(
    row: PublishedRow, rows: Sequence[PublishedRow], found: Mapping[tuple[str, str], Found], rated: Rated | None
) -> Line:
    key, value = _key(row), row.values["elo"]
    reference = next(item for item in rows if _key(item) == REFERENCE)
    record, base = found[key].record, found[REFERENCE].record
    if record is None or rated is None:
        reason = found[key].reason or "fewer than two of the models are measured, or they have no scores to vote by"
        return Line(key, value.shown, Shown(reason=reason), not_comparable(reason), published_value=value.number)
    ours = _shown(rated, record)
    if row is reference:
        return Line(key, value.shown, ours, not_comparable(IS_REFERENCE), published_value=value.number)
    if base is None or rated.strengths is None:
        reason = "the model that it is held against is not measured" if base is None else "a model never loses"
        return Line(key, value.shown, ours, not_comparable(reason), published_value=value.number)
    moved, low, high = rated.strengths.difference(rated.place(record), rated.place(base))
    change = Change(moved, low, high, low > 0 or high < 0)
    verdict: Verdict = by_order(value.number - reference.values["elo"].number, rule("elo_tie"), change)
    against = published_change(value, reference.values["elo"])
    return Line(key, value.shown, ours, verdict, against, change_text(change), value.number)


def _shown(rated: Rated, record: Record) -> Shown:
    place = rated.place(record)
    own = float(rated.elo[place])
    if rated.strengths is None:
        return Shown(f"{own:.0f}", "", own, record.cell.name)
    low, high = rated.strengths.interval(place)
    text = f"{own:.0f}; {float(rated.strengths.ratings[place]):.0f}"
    return Shown(text, f"[{low:.0f}, {high:.0f}]", own, record.cell.name, low=low, high=high)


def _time(row: PublishedRow, found: Mapping[tuple[str, str], Found], groups: Sequence[Group]) -> Line:
    timed = timed_at_full_size(groups, row)
    if timed is not None:
        return timed
    here = found[_key(row)]
    verdict = not_comparable(here.reason if here.record is None else TIME)
    value = row.values["time_s"]
    return Line(_key(row), value.shown, value_of(here, "latency_s"), verdict, published_value=value.number)


def timed_at_full_size(groups: Sequence[Group], row: PublishedRow) -> Line | None:
    """The row held against the model itself, timed on a GPU in half precision at 512 x 512; None where it was not."""
    record = full_size(groups, counterpart("study", *_key(row)), device="cuda")
    quantity = record.quantity("latency_s") if record is not None else None
    if record is None or quantity is None or record.cell.dtype == "float32" or record.cell.height not in (None, 512):
        return None
    value, processor = row.values["time_s"], str(quantity.protocol.get("processor", "another GPU"))
    ends = (quantity.value, quantity.ci_low, quantity.ci_high)
    there = not_comparable(f"an A100 there, {processor} here")
    verdict = by_value(value.number, value.error, *ends) if A100 in processor else there
    return Line(_key(row), value.shown, shown(quantity, record), verdict, published_value=value.number)


def _key(row: PublishedRow) -> tuple[str, str]:
    return row.keys["model"], row.keys["num_inference_steps"]
