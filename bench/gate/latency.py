"""Latency, base against head, from rounds of visits made in turn; looked at after every round.

A round starts a fresh process of each side and visits them in turn; a pair is one visit to each, in an order drawn at
random, and gives the logarithm of head's time over base's. What is tested is Wilcoxon's signed rank over all pairs.

Two processes of the same code differ by a little that no number of pairs in one round averages out (where their memory
lies, for one). How much is the noise floor: how far apart the two sides of an A/A measurement were on this machine,
which only more rounds make smaller. The test for "worse" leaves the floor out. The test for "worse by less than the
margin" takes the rounds for what is drawn: Student's t of their centres, with the spread of the floor or that of the
rounds themselves, whichever is larger, and the floor's degrees of freedom. The minimum effect is the margin.

Looks. After round k of K the p-value is divided by the share of the error that is spent there, 1 / K; for "worse" the
least of them so far is the check's: by Bonferroni this holds whenever one stops, for any distribution (an
alpha-spending schedule as of Lan and DeMets 1983, without their assumption of normal increments). It is then one
p-value among those of all cells, which Holm's rule corrects.
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

ROUNDS = 5
"""Most rounds of one gate."""


MOST_ROUNDS = 100
"""That can be asked for; where more would be needed, the machine is too noisy."""


@dataclass(frozen=True)
class Pair:
    """Seconds of one visit to each side, the lower quartile of its calls: {stage: seconds}, with `total` as a stage."""

    base: Mapping[str, float]
    head: Mapping[str, float]


@dataclass(frozen=True)
class Floor:
    """The noise floor of a machine: `spread` between the sides of A/A rounds, from `rounds` of them."""

    spread: float
    rounds: int

    def after(self, rounds: int) -> float:
        """The largest difference that `rounds` rounds of equal sides show, as a logarithm; but for ALPHA / 2."""
        if self.rounds < 1:
            return math.inf
        return float(stdtrit(self.rounds, 1 - ALPHA / 2)) * self.spread / math.sqrt(rounds)


@dataclass
class Timed:
    """What is known of one cell's latency so far.

    Args:
        cell: as it is shown, `shapes/add-1`.
        floors: the noise floor of each gated stage.
        looks: most rounds there will be; the error is spent in equal parts over them.
    """

    cell: str
    floors: Mapping[str, Floor]
    looks: int = ROUNDS
    rounds: int = 0
    _pairs: list[Pair] = field(default_factory=list)
    _centres: dict[str, list[float]] = field(default_factory=dict)
    _p_worse: dict[str, float] = field(default_factory=dict)
    _p_fine: dict[str, float] = field(default_factory=dict)

    def add(self, pairs: Sequence[Pair]) -> None:
        """Take the pairs of one more round and look.

        Raises:
            ValueError: beyond the number of looks that was settled before the first.
        """
        if self.rounds >= self.looks:
            raise ValueError(f"{self.looks} looks were settled before the first; there cannot be one more")
        self.rounds += 1
        self._pairs.extend(pairs)
        for stage in self._gated():
            self._centres.setdefault(stage, []).append(centre(_ratios(pairs, stage))[0])
            floor = self.floors[stage].after(self.rounds)
            worse = p_above(_ratios(self._pairs, stage), floor) * self.looks if math.isfinite(floor) else 1.0
            self._p_worse[stage] = min(worse, self._p_worse.get(stage, 1.0))
            self._p_fine[stage] = self._p_below_margin(stage) * self.looks

    def checks(self) -> list[Check]:
        """One check for each gated stage that this cell has."""
        return [self._check(stage) for stage in self._gated()]

    def _gated(self) -> list[str]:
        return [stage for stage in GATED if self._pairs and all(stage in pair.base for pair in self._pairs)]

    def _error(self, stage: str) -> float:
        """The standard error of the mean of the rounds' centres."""
        centres = np.asarray(self._centres[stage])
        own = float(centres.std(ddof=1)) if len(centres) > 1 else 0.0
        return max(self.floors[stage].spread, own) / math.sqrt(self.rounds)

    def _p_below_margin(self, stage: str) -> float:
        """One-sided p-value of "worse by the margin or more"."""
        floor, error = self.floors[stage], self._error(stage)
        room = math.log1p(LATENCY_MARGIN) - float(np.mean(self._centres[stage]))
        if floor.rounds < 1:
            return 1.0
        if error == 0.0:
            return 0.0 if room > 0 else 1.0
        return float(stdtr(floor.rounds, -room / error))

    def _check(self, stage: str) -> Check:
        value = float(np.mean(self._centres[stage]))
        df = self.floors[stage].rounds
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
            p_worse=self._p_worse[stage],
            p_fine=self._p_fine[stage],
            beyond=value > math.log1p(LATENCY_MARGIN),
            n=len(self._pairs),
            more=self._more(stage, value),
            note=self._stages() if stage == TOTAL and value > self.floors[stage].after(self.rounds) else "",
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
        margin, df = math.log1p(LATENCY_MARGIN), self.floors[stage].rounds
        if df < 1:
            return "an A/A measurement of this machine (`bench gate --calibrate`)"
        is_fine = value < margin
        level = BETA / self.looks if is_fine else ALPHA / 2
        width, distance = float(stdtrit(df, 1 - level)) * self._error(stage), margin - value if is_fine else value
        wanted = self.rounds * (width / max(distance, 1e-4)) ** 2
        if wanted > MOST_ROUNDS:
            return f"more than {MOST_ROUNDS} rounds, or a quieter machine,"
        return f"about {max(1, math.ceil(wanted - self.rounds)):,} more rounds"


def _ratios(pairs: Sequence[Pair], stage: str) -> Array:
    times = [(pair.base.get(stage, 0.0), pair.head.get(stage, 0.0)) for pair in pairs]
    return np.asarray([math.log(head / base) for base, head in times if base > 0 and head > 0], dtype=np.float64)
