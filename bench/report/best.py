"""Which value is best, said only where the intervals carry it.

Methods are compared at the same number of steps. One beats another where their 95 % intervals do not overlap, or where
the 95 % interval of the paired difference over the images (same prompt, same seed) excludes zero. A value is best where
it beats *every* other of its step count: each comparison at 95 %, all of which must hold, so none is corrected.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from scipy.special import stdtrit

from bench.record import Quantity, Record
from bench.report.display import Display

MIN_PAIRS = 30
"""Fewest images whose mean difference is taken to be normal."""


@dataclass(frozen=True)
class Verdict:
    """What can be said about one quantity at one number of steps. `best` is None where the intervals do not tell."""

    quantity: str
    steps: int
    compared: tuple[Record, ...]
    best: Record | None


def paired_interval(one: Sequence[float], other: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval (Student's t) of the mean of `one - other`; None where the lists do not pair or are too short."""
    n = len(one)
    if n != len(other) or n < MIN_PAIRS:
        return None
    differences = np.subtract(one, other)
    half = float(stdtrit(n - 1, 0.975)) * float(differences.std(ddof=1)) / math.sqrt(n)
    mean = float(differences.mean())
    return mean - half, mean + half


def beats(one: Record, other: Record, name: str) -> bool:
    """Whether `one` is better than `other` on the quantity `name`, beyond what chance explains."""
    a, b = one.quantity(name), other.quantity(name)
    if a is None or b is None or not _better(a, b):
        return False
    if a.ci_low == a.ci_high and b.ci_low == b.ci_high:  # neither has an interval: nothing can be said
        return False
    if a.ci_low > b.ci_high or b.ci_low > a.ci_high:
        return True
    if name not in one.per_image or name not in other.per_image:
        return False
    pair = paired_interval(one.per_prompt(name), other.per_prompt(name))
    if pair is None:
        return False
    return pair[0] > 0 if a.higher_is_better else pair[1] < 0


def verdicts(records: Iterable[Record], columns: Iterable[Display]) -> list[Verdict]:
    """One verdict a (ranked quantity, number of steps) with at least two methods, in the order given."""
    by_steps = groupby(sorted(records, key=_steps), key=_steps)
    members = [(steps, tuple(group)) for steps, group in by_steps]
    found = []
    for column in columns:
        for steps, group in members:
            compared = tuple(record for record in group if record.quantity(column.name) is not None)
            if column.ranked and len(compared) > 1:
                found.append(Verdict(column.name, steps, compared, _best(compared, column.name)))
    return found


def marks(found: Iterable[Verdict]) -> set[tuple[str, str]]:
    """(cell name, quantity) of every value to be marked."""
    return {(verdict.best.cell.name, verdict.quantity) for verdict in found if verdict.best is not None}


def _best(records: Sequence[Record], name: str) -> Record | None:
    """The one that beats all others. Only the one of the best value can."""
    found = [(quantity, record) for record in records if (quantity := record.quantity(name)) is not None]
    ahead, record = found[0]
    for quantity, other in found[1:]:
        if _better(quantity, ahead):
            ahead, record = quantity, other
    return record if all(beats(record, other, name) for other in records if other is not record) else None


def _better(a: Quantity, b: Quantity) -> bool:
    return a.value > b.value if a.higher_is_better else a.value < b.value


def _steps(record: Record) -> int:
    return record.cell.num_inference_steps
