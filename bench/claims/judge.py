"""From stored records to a verdict on each claim, with the interval that says so.

A comparison is told by its own 95 % interval. A claim *holds* where every interval lies on the side that it says, which
is a test of that claim at 5 % however many comparisons it has (Berger 1982: the union of the alternatives is refused
one by one). It *does not* where one interval lies on the other side even when widened for the number of comparisons
(Bonferroni), and one *cannot tell* otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.claims.claim import Claim, Comparison, Side
from bench.claims.pooled import CONFIDENCE, Pooled, difference, mean, ratio
from bench.errors import RecordError
from bench.record import Record
from methods.registry import BASELINES

Verdict = Literal["holds", "does not", "cannot tell"]

SEEDS = 3
"""Fewest training seeds that a verdict rests on."""


@dataclass(frozen=True)
class Evidence:
    """One comparison and what the records give: an interval, or the reason why there is none."""

    comparison: Comparison
    interval: Pooled | None
    wide: Pooled | None
    seeds: int
    prompts: int
    missing: str | None = None

    @property
    def agrees(self) -> bool:
        """Whether the whole interval lies where the claim says."""
        return self.interval is not None and _beyond(self.interval, self.comparison, self.comparison.direction)

    @property
    def contradicts(self) -> bool:
        """Whether the whole interval, widened for the number of comparisons, lies on the other side."""
        other: Literal["above", "below"] = "below" if self.comparison.direction == "above" else "above"
        return self.wide is not None and _beyond(self.wide, self.comparison, other)


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict; `reason` says what is missing where only for want of records one cannot tell."""

    claim: Claim
    verdict: Verdict
    evidence: tuple[Evidence, ...]
    reason: str | None = None


def judge(claim: Claim, records: Iterable[Record]) -> Judged:
    """What `records` say about `claim`."""
    known = tuple(records)
    confidence = 1 - (1 - CONFIDENCE) / len(claim.comparisons)
    evidence = tuple(_evidence(comparison, known, confidence) for comparison in claim.comparisons)
    lacking = [item.missing for item in evidence if item.missing is not None]
    if any(item.contradicts for item in evidence):
        return Judged(claim, "does not", evidence)
    undecided = any(item.missing is None and not item.agrees for item in evidence)
    if lacking and not undecided:  # else what is missing cannot make it hold
        more = f" (and {len(lacking) - 1} more)" if len(lacking) > 1 else ""
        return Judged(claim, "cannot tell", evidence, f"{lacking[0]}{more}; `{claim.command}` makes what is missing")
    verdict: Verdict = "holds" if all(item.agrees for item in evidence) else "cannot tell"
    return Judged(claim, verdict, evidence)


def by_seed(side: Side, quantity: str, images_per_prompt: int, records: Iterable[Record]) -> dict[int, Record]:
    """Training seed -> the record of `side` with one number a prompt of a quantity; of several that of most prompts."""
    found: dict[int, Record] = {}
    for record in sorted(records, key=lambda item: (item.cell.limit, item.cell.name)):
        if _is_of(side, record, images_per_prompt) and quantity in record.per_image:
            found[record.cell.train_seed] = record
    return dict(sorted(found.items()))


def in_common(sides: Sequence[Mapping[int, Record]]) -> list[dict[int, Record]]:
    """The same by-seed records, of the training seeds that all sides have."""
    seeds = [seed for seed in sides[0] if all(seed in side for side in sides)]
    return [{seed: side[seed] for seed in seeds} for side in sides]


def rows_of(record: Record) -> tuple[str, ...]:
    """The rows of the ablations that a record stands for."""
    training = record.provenance.get("training")
    rows = training.get("rows", ()) if isinstance(training, Mapping) else ()
    return tuple(str(row) for row in rows)


def _is_of(side: Side, record: Record, images_per_prompt: int) -> bool:
    cell = record.cell
    plain = cell.seed == 0 and cell.guidance_scale is None and cell.snapshot is None and cell.mode == "eager"
    own = cell.family is None and record.status == "ok" and cell.images_per_prompt == images_per_prompt
    same = (cell.method, cell.num_inference_steps) == (side.method, side.steps)
    row = cell.ablation is None if side.row is None else side.row in rows_of(record)
    return plain and own and same and row


def _evidence(comparison: Comparison, records: Sequence[Record], wider: float) -> Evidence:
    sides = [side for side in (comparison.one, comparison.other) if side is not None]
    found = [by_seed(side, comparison.quantity, comparison.images_per_prompt, records) for side in sides]
    if _same_seeds(comparison):
        found = in_common(found)
    for side, of_side in zip(sides, found, strict=True):
        needed = 1 if _fixed(side) else SEEDS
        if len(of_side) < needed:
            lacking = f"{len(of_side)} of {needed} training seeds of {side.title}"
            what = lacking if needed > 1 else f"no record of {side.title} with {comparison.quantity}"
            return Evidence(comparison, None, None, len(of_side), 0, what)
    values = [[record.per_prompt(comparison.quantity) for record in of_side.values()] for of_side in found]
    lengths = {len(row) for rows in values for row in rows}
    same = _problem([record for of_side in found for record in of_side.values()], comparison.quantity)
    seeds = min(len(of_side) for side, of_side in zip(sides, found, strict=True) if not _fixed(side))
    if len(lengths) != 1 or same:
        why = same or f"records of {' and '.join(str(count) for count in sorted(lengths))} prompts"
        return Evidence(comparison, None, None, seeds, 0, f"{comparison.quantity}: {why}")
    fixed = tuple(_fixed(side) for side in sides)
    intervals = [_interval(comparison, values, fixed, level) for level in (CONFIDENCE, wider)]
    return Evidence(comparison, intervals[0], intervals[1], seeds, lengths.pop())


def _interval(
    comparison: Comparison, values: Sequence[Sequence[Sequence[float]]], fixed: Sequence[bool], level: float
) -> Pooled:
    if comparison.other is None:
        return mean(values[0], level, fixed=fixed[0])
    statistic = ratio if comparison.statistic == "ratio" else difference
    return statistic(values[0], values[1], level, fixed=(fixed[0], fixed[1]), same_seeds=_same_seeds(comparison))


def _same_seeds(comparison: Comparison) -> bool:
    """Whether both sides are rows of the ablations, which have everything that a seed decides in common."""
    return comparison.other is not None and None not in (comparison.one.row, comparison.other.row)


def _fixed(side: Side) -> bool:
    """Whether a side has one training by its nature: the teacher that all have in common."""
    return side.method in BASELINES


def _problem(records: Sequence[Record], quantity: str) -> str | None:
    """Why the scores of `records` may not stand side by side, or None."""
    scores = [score for record in records if (score := record.quantity(quantity)) is not None]
    if len({score.protocol_hash for score in scores}) > 1:
        return "records of several protocols"
    return None


def _beyond(interval: Pooled, comparison: Comparison, direction: Literal["above", "below"]) -> bool:
    return interval.low > comparison.bound if direction == "above" else interval.high < comparison.bound


def judge_all(claims: Sequence[Claim], records: Iterable[Record]) -> tuple[Judged, ...]:
    """Every claim, judged on the same records.

    Raises:
        RecordError: where there is no claim to judge.
    """
    if not claims:
        raise RecordError("there is no claim to judge")
    known = tuple(records)
    return tuple(judge(claim, known) for claim in claims)
