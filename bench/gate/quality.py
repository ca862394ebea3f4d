"""Quality, base against head, image by image: the same prompts and seeds, so that what they share cancels.

Three one-sided tests by Student's t over prompts: against "not worse" (an alarm), against "worse by the margin or more"
(a pass), and against "better by no more than the band" (an alarm of another kind). The second and third are the two
one-sided tests of equivalence (Schuirmann 1987).

A distance between sets comes as one pseudo-value an image, its influence function, whose mean is the distance; the
spread of their paired differences gives the error of the difference. A Frechet distance is a square, so its tests are
made on the scale of its root, where the error depends less on its size: with 5 % of broken images the distance grows
with nearly the square of their share, and on its own scale the test would take that for spread.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtr, stdtrit

from bench.clusters import Clustered, clustered
from bench.gate.arrays import Array
from bench.gate.decide import ALPHA, BETA
from bench.gate.margins import BAND, Margin, margin_of
from bench.gate.verdicts import Check
from bench.record import Quantity, Record
from bench.report.display import display

MIN_PROMPTS = 30
"""Fewest prompts whose mean difference is taken to be normal."""

WORTH_SAYING = 100
"""Times the images there are; beyond that no number is named, as the change is as good as at the margin."""

_POWER = 0.9
"""How surely the images that are named would decide."""


@dataclass(frozen=True)
class Paired:
    """Per-image values of one quantity on both sides, (n,) each, in the same order; `clusters` by prompt or None."""

    base: Array
    head: Array
    clusters: Array | None = None


def quality_checks(cell: str, base: Record, head: Record, *, expect_better: bool = False) -> Iterator[Check]:
    """One check for each score that both records have image by image."""
    for quantity in base.quantities:
        name = quantity.name
        other = head.quantity(name)
        first, second = base.per_image.get(name, ()), head.per_image.get(name, ())
        if other is None or not first or len(first) != len(second):
            continue
        groups = np.asarray(base.clusters, dtype=np.float64) if len(base.clusters) == len(first) else None
        pairs = Paired(np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64), groups)
        yield compare(cell, quantity, pairs, expect_better=expect_better)


def compare(cell: str, quantity: Quantity, pairs: Paired, *, expect_better: bool = False) -> Check:
    """The check of one quantity; `quantity` names it and says which way is better."""
    base, head = float(pairs.base.mean()), float(pairs.head.mean())
    margin = margin_of(quantity.name, float(pairs.base.std()))
    sign = 1.0 if quantity.higher_is_better else -1.0
    scale = _Scale(margin, base, head)
    differences = clustered(sign * (scale.head(pairs.head) - scale.base(pairs.base)), pairs.clusters)
    allowed = margin.of(base)
    worst, best = scale.at(base - sign * allowed), scale.at(base + sign * BAND * allowed)
    tests = _Tests(differences, sign * (worst - scale.at(base)), sign * (best - scale.at(base)))
    half = tests.half_width
    ends = sorted(scale.back(scale.at(base) + sign * (tests.change + end)) - base for end in (-half, half))
    look = display(quantity)
    prompts = len(differences.sums)
    return Check(
        cell=cell,
        kind="quality",
        quantity=quantity.name,
        title=look.title,
        unit=look.unit,
        change=(head - base) * look.factor,
        low=ends[0] * look.factor,
        high=ends[1] * look.factor,
        margin=allowed * look.factor,
        band=None if expect_better else BAND * allowed * look.factor,
        base=base * look.factor,
        head=head * look.factor,
        p_worse=tests.p_worse,
        p_fine=tests.p_fine,
        p_better=None if expect_better else tests.p_better,
        beyond=sign * (head - base) < -allowed,
        n=len(pairs.base),
        more=tests.more(len(pairs.base)),
        note=f"{prompts} prompts are too few" if prompts < MIN_PROMPTS else "",
        higher_is_better=quantity.higher_is_better,
    )


class _Scale:
    """The scale on which a quantity is tested: its own, or that of its square root.

    On the root's scale a pseudo-value is the root of the distance plus its deviation over twice that root (the delta
    method), so that its mean is the root exactly.
    """

    def __init__(self, margin: Margin, base: float, head: float) -> None:
        self._root = margin.root and base > 0 and head > 0
        self._base, self._head = base, head

    def base(self, values: Array) -> Array:
        return self._of(values, self._base)

    def head(self, values: Array) -> Array:
        return self._of(values, self._head)

    def at(self, value: float) -> float:
        return math.sqrt(max(value, 0.0)) if self._root else value

    def back(self, value: float) -> float:
        return max(value, 0.0) ** 2 if self._root else value

    def _of(self, values: Array, mean: float) -> Array:
        if not self._root:
            return values
        root = math.sqrt(mean)
        scaled: Array = root + (values - mean) / (2 * root)
        return scaled


class _Tests:
    """One-sided t-tests over prompts of differences whose positive values are improvements.

    `worst` (below zero) and `best` (above it) are where margin and band lie.
    """

    def __init__(self, differences: Clustered, worst: float, best: float) -> None:
        self.change = differences.mean
        self._error = differences.standard_error
        self._prompts = len(differences.sums)
        self._worst, self._best = worst, best

    @property
    def p_worse(self) -> float:
        return self._p(-self.change)

    @property
    def p_fine(self) -> float:
        return self._p(self.change - self._worst)

    @property
    def p_better(self) -> float:
        return self._p(self.change - self._best)

    @property
    def half_width(self) -> float:
        """Of the 95 % interval."""
        if self._prompts < 2:
            return 0.0
        return float(stdtrit(self._prompts - 1, 0.975)) * self._error

    def more(self, images: int) -> str:
        """How many more images would decide, if prompts differ as much among themselves as they do here.

        Towards a pass where the change is within the margin, towards an alarm (taking 20 tests in the gate) elsewhere.
        """
        spread = self._error * math.sqrt(self._prompts)
        room = self.change - self._worst
        level = BETA if room > 0 else ALPHA / 20
        distance = room if room > 0 else -self.change
        if not spread > 0 or not math.isfinite(spread) or distance <= 0:
            return ""
        wanted = ((float(ndtri(1 - level)) + float(ndtri(_POWER))) * spread / distance) ** 2
        if wanted > WORTH_SAYING * self._prompts:
            return f"more than {WORTH_SAYING * images:,} images"
        prompts = max(math.ceil(wanted), MIN_PROMPTS)
        return f"about {_rounded(max(1, (prompts - self._prompts) * images // self._prompts)):,} more images"

    def _p(self, excess: float) -> float:
        """Of a mean that is at most zero, where `excess` was found."""
        if self._prompts < MIN_PROMPTS:
            return 1.0
        if self._error <= 1e-14 * max(abs(self._worst), abs(self.change)):
            return 0.0 if excess > 0 else 1.0
        return float(stdtr(self._prompts - 1, -excess / self._error))


def _rounded(count: int) -> int:
    """Two significant digits, upwards."""
    step: int = 10 ** max(0, len(str(count)) - 2)
    return step * -(-count // step)
