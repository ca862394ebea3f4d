"""Latency, base against head, from rounds of visits made in turn; looked at after some of the rounds.

A round starts a fresh process of each side and visits them in turn; a pair is one visit to each, in an order drawn at
random, and gives the logarithm of head's time over base's. The centre of a round is that of its pairs (Hodges and
Lehmann). Head is worse where two tests say so. Wilcoxon's signed rank over all pairs: a permutation test, which holds
whatever drifts or spikes the machine has, but knows nothing of what makes two processes of one code differ. And
Student's t of the rounds' centres, their spread being the noise floor: how far apart the two sides of A/A rounds were
on this machine. Head is fine where the t-test says that it is worse by less than the margin.

One process in thirty is off by 5 % and more for as long as it lives. So nothing is decided before the third round; what
is called worse must be so without its slowest round, and what is called fine without its fastest.

Looks. Each p-value is multiplied by the number of rounds after which one looks (Bonferroni), and is then one among
those of all cells, which Holm's rule corrects. The minimum effect is the margin.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import stdtr, stdtrit

from bench.gate.arrays import Array
from bench.gate.decide import ALPHA, BETA
from bench.gate.margins import LATENCY_MARGIN
from bench.gate.signed_rank import centre, p_above
from bench.gate.verdicts import Check

TOTAL = "total"
DENOISER = "denoiser"
GATED = (TOTAL, DENOISER)
"""The stages whose time is gated; the others are shown where the total got slower."""

ROUNDS = 7
"""Most rounds of one gate."""

FIRST_LOOK, NEXT_LOOK = 3, 2
"""Rounds before the first look, where there may be as many, and between looks."""


MOST_ROUNDS = 100
"""That can be asked for; where more would be needed, the machine is too noisy."""


@dataclass(frozen=True)
class Pair:
    """Seconds of one visit to each side, the lower quartile of its calls: {stage: seconds}, with `total` as a stage."""

    base: Mapping[str, float]
    head: Mapping[str, float]


@dataclass(frozen=True)
class Floor:
    """The noise floor of a machine: `spread` of the centres of A/A rounds, as a logarithm, from `values` of them."""

    spread: float
    values: int


@dataclass
class Timed:
    """What is known of one cell's latency so far.

    Args:
        cell: as it is shown, `shapes/add-1`.
        floors: the noise floor of each gated stage.
        most: rounds there will be at most; the error is spent in equal parts over the looks.
    """

    cell: str
    floors: Mapping[str, Floor]
    most: int = ROUNDS
    rounds: int = 0
    _pairs: list[Pair] = field(default_factory=list)
    _centres: dict[str, list[float]] = field(default_factory=dict)

    def add(self, pairs: Sequence[Pair]) -> None:
        """Take the pairs of one more round and look.

        Raises:
            ValueError: beyond the number of rounds that was settled before the first.
        """
        if self.rounds >= self.most:
            raise ValueError(f"{self.most} rounds were settled before the first; there cannot be one more")
        self.rounds += 1
        self._pairs.extend(pairs)
        for stage in self._gated():
            self._centres.setdefault(stage, []).append(centre(log_ratios(pairs, stage))[0])

    def checks(self) -> list[Check]:
        """One check for each gated stage that this cell has."""
        return [self._check(stage) for stage in self._gated()]

    def _gated(self) -> list[str]:
        return [stage for stage in GATED if self._pairs and all(stage in pair.base for pair in self._pairs)]

    @property
    def _looks(self) -> tuple[int, ...]:
        """The rounds after which one looks."""
        return (*range(min(FIRST_LOOK, self.most), self.most, NEXT_LOOK), self.most)

    def _look(self, stage: str) -> tuple[float, float]:
        """p-values against "not worse" and "worse by the margin or more", corrected for the number of looks."""
        if self.rounds not in self._looks or self.floors[stage].values < 1:
            return 1.0, 1.0
        looks, margin = len(self._looks), math.log1p(LATENCY_MARGIN)
        slow, fast = self._without_extremes(stage)
        worse = max(p_above(log_ratios(self._pairs, stage), 0.0), self._p_value(stage, slow))
        return min(1.0, looks * worse), min(1.0, looks * self._p_value(stage, margin - fast))

    def _without_extremes(self, stage: str) -> tuple[float, float]:
        """The mean of the rounds' centres without the slowest, and without the fastest; that of an only one."""
        centres = sorted(self._centres[stage])
        return float(np.mean(centres[:-1] or centres)), float(np.mean(centres[1:] or centres))

    def _p_value(self, stage: str, distance: float) -> float:
        """One-sided, of a mean of rounds that lies `distance` on the side where it should not: Student's t."""
        error = self._error(stage)
        if error == 0.0:
            return 0.0 if distance > 0 else 1.0
        return float(stdtr(self.floors[stage].values, -distance / error))

    def _error(self, stage: str) -> float:
        """The standard error of a mean of all rounds but one."""
        return self.floors[stage].spread / math.sqrt(max(1, self.rounds - 1))

    def _check(self, stage: str) -> Check:
        p_worse, p_fine = self._look(stage)
        value, df = float(np.mean(self._centres[stage])), self.floors[stage].values
        half = float(stdtrit(df, 0.975)) * self._error(stage) if df else 0.0  # nothing is decided then, see `more`
        shown = [100 * math.expm1(x) for x in (value, value - half, value + half)]
        base, head = (float(np.median([side[stage] for side in sides])) for sides in self._sides())
        return Check(
            cell=self.cell,
            kind="latency",
            quantity="latency_s" if stage == TOTAL else f"latency_{stage}_s",
            title="latency" if stage == TOTAL else stage,
            unit="%",
            change=shown[0],
            low=shown[1],
            high=shown[2],
            margin=100 * LATENCY_MARGIN,
            base=1000 * base,
            head=1000 * head,
            relative=True,
            p_worse=p_worse,
            p_fine=p_fine,
            beyond=self._without_extremes(stage)[0] > math.log1p(LATENCY_MARGIN),
            n=len(self._pairs),
            more=self._more(stage, value),
            note=self._stages() if stage == TOTAL and value > half else "",
        )

    def _sides(self) -> tuple[list[Mapping[str, float]], list[Mapping[str, float]]]:
        return [pair.base for pair in self._pairs], [pair.head for pair in self._pairs]

    def _stages(self) -> str:
        """`denoiser +5.3 %, decoder 0.0 %`: which stage got slower, the largest share of the base's time first."""
        base, head = self._sides()
        names = [name for name in base[0] if name != TOTAL and all(name in side for side in (*base, *head))]
        times = {name: (np.median([s[name] for s in base]), np.median([s[name] for s in head])) for name in names}
        ordered = sorted(times.items(), key=lambda item: -item[1][0])
        return ", ".join(f"{name} {100 * (after / before - 1):+.1f} %" for name, (before, after) in ordered if before)

    def _more(self, stage: str, value: float) -> str:
        """About how many more rounds would decide: widths shrink with the root of the number of rounds."""
        margin, df = math.log1p(LATENCY_MARGIN), self.floors[stage].values
        if df < 1:
            return "an A/A measurement of this machine (`bench gate --calibrate`)"
        is_fine = value < margin
        level = BETA / len(self._looks) if is_fine else ALPHA / 2
        width, distance = float(stdtrit(df, 1 - level)) * self._error(stage), margin - value if is_fine else value
        wanted = self.rounds * (width / max(distance, 1e-4)) ** 2
        if wanted > MOST_ROUNDS:
            return f"more than {MOST_ROUNDS} rounds, or a quieter machine,"
        return f"about {max(1, math.ceil(wanted - self.rounds)):,} more rounds"


def log_ratios(pairs: Sequence[Pair], stage: str) -> Array:
    """Logarithms of head's time over base's, of the pairs in which both sides have one."""
    times = [(pair.base.get(stage, 0.0), pair.head.get(stage, 0.0)) for pair in pairs]
    return np.asarray([math.log(head / base) for base, head in times if base > 0 and head > 0], dtype=np.float64)
