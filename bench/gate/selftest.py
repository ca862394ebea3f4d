"""How often the gate is wrong, counted over simulated gates with a known answer, beside gates that do it naively."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import binomtest, mannwhitneyu

from bench.gate.decide import ALPHA, BETA, decide, undecided
from bench.gate.latency import DENOISER, ROUNDS, TOTAL, Floor, Pair, Timed
from bench.gate.margins import LATENCY_MARGIN
from bench.gate.noise import ROUNDS as NOISE_ROUNDS
from bench.gate.noise import floors_of, ratios_of
from bench.gate.signed_rank import p_above
from bench.gate.simulation import FeatureBank, Machine, quality
from bench.gate.turns import PAIRS
from bench.gate.verdicts import Check, Verdict, overall

IMAGES = 600
CELLS = ("simulated/one", "simulated/two")
SLOWER = 1.05
BROKEN = 0.05
MOST_ALARMS, LEAST_POWER, MOST_PASSED = 0.01, 0.95, BETA
ALARMS = (Verdict.REGRESSION, Verdict.RECIPE_MISMATCH)

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """One simulated gate."""

    checks: tuple[Check, ...]
    rounds: int

    @property
    def verdict(self) -> Verdict:
        """Of the whole gate."""
        return overall(check.verdict for check in self.checks if check.verdict is not None)


Each = Callable[[Callable[[int], Result], Iterable[int]], Iterable[Result]]


@dataclass(frozen=True)
class Tally:
    """Over `gates` gates of one kind: how many gave the answer counted, and how many could not tell.

    `wanted` is ("at most" or "at least", share), None for what is shown for comparison only.
    """

    name: str
    counted: str
    hits: int
    gates: int
    inconclusive: int = 0
    rounds: float = 0.0
    wanted: tuple[str, float] | None = None

    @property
    def share(self) -> float:
        """Of the gates that gave the answer counted."""
        return self.hits / self.gates

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, exact (Clopper and Pearson)."""
        found = binomtest(self.hits, self.gates).proportion_ci()
        return float(found.low), float(found.high)

    @property
    def good(self) -> bool:
        """Whether the share is as wanted."""
        if self.wanted is None:
            return True
        side, bound = self.wanted
        return self.share <= bound if side == "at most" else self.share >= bound


def simulated_gate(
    bank: FeatureBank,
    rng: np.random.Generator,
    *,
    slower: Mapping[str, float] | None = None,
    broken: float = 0.0,
    images: int = IMAGES,
) -> Result:
    """A gate of two cells, the first with what is planted, on a machine of its own with its own noise floor."""
    machine = Machine(rng)
    floors = _floors(machine)
    checks = [
        check for place, cell in enumerate(CELLS) for check in quality(bank, rng, cell, images, broken * (place == 0))
    ]
    timed = [Timed(cell, floors) for cell in CELLS]
    decided: list[Check] = []
    for _round in range(ROUNDS):
        for place, cell in enumerate(timed):
            cell.add(machine.round(slower or {} if place == 0 else {}))
        decided = decide([*checks, *(check for cell in timed for check in cell.checks())])
        if not undecided(decided):
            break
    return Result(tuple(decided), timed[0].rounds)


def run(
    bank: FeatureBank,
    simulations: int,
    seed: int = 0,
    *,
    finished: Mapping[str, Tally] = {},
    each: Each = map,
    tell: Progress = lambda _line: None,
) -> Iterator[Tally]:
    """The gate's own rates, then those of naive gates.

    Args:
        bank: Images to draw the gates' own from.
        simulations: Gates of each kind.
        seed: Every gate has a stream of its own below it, whatever ran before.
        finished: Tallies of an earlier run by name; they are given as they are.
        each: `map`, or that of a pool of processes.
        tell: Told every tenth of a kind.
    """
    worlds: Sequence[tuple[str, str, dict[str, object], Callable[[Result], bool], tuple[str, float]]] = (
        ("nothing changed", "false alarms", {}, _alarmed, ("at most", MOST_ALARMS)),
        (f"{SLOWER - 1:.0%} slower", "caught", {"slower": {TOTAL: SLOWER}}, _slower_caught, ("at least", LEAST_POWER)),
        (
            f"denoiser {SLOWER - 1:.0%} slower", "caught",
            {"slower": {DENOISER: SLOWER}}, _slower_caught, ("at least", LEAST_POWER),
        ),
        (
            f"{LATENCY_MARGIN:.0%} slower, the margin", "passed",
            {"slower": {TOTAL: 1 + LATENCY_MARGIN}}, _slower_passed, ("at most", MOST_PASSED),
        ),
        (f"{BROKEN:.0%} of images broken", "caught by FD", {"broken": BROKEN}, _fd_caught, ("at least", LEAST_POWER)),
    )  # fmt: skip
    for place, (name, counted, planted, hit, wanted) in enumerate(worlds):
        if name in finished:
            yield finished[name]
            continue
        results: list[Result] = []
        for result in each(partial(_numbered, bank, seed, place, planted), range(simulations)):
            results.append(result)
            if len(results) % max(1, simulations // 10) == 0:
                tell(f"{name}: {len(results):,} of {simulations:,} gates")
        yield Tally(
            name,
            counted,
            sum(hit(result) for result in results),
            simulations,
            sum(result.verdict is Verdict.INCONCLUSIVE for result in results),
            sum(result.rounds for result in results) / simulations,
            wanted,
        )
    for name, control in CONTROLS.items():
        rngs = (np.random.default_rng((seed, 100, number)) for number in range(simulations))
        yield Tally(f"naive: {name}", "false alarms", sum(control(Machine(rng)) for rng in rngs), simulations)


def _numbered(bank: FeatureBank, seed: int, place: int, planted: Mapping[str, Any], number: int) -> Result:
    """Gate `number` of the kind at `place`, from a random stream of its own."""
    return simulated_gate(bank, np.random.default_rng((seed, place, number)), **planted)


def effect(bank: FeatureBank, seed: int = 0) -> tuple[float, float, float]:
    """What `BROKEN` of broken images does to the distance: before, after, and the margin."""
    rng = np.random.default_rng((seed, 200))
    checks = [quality(bank, rng, CELLS[0], IMAGES, BROKEN)[0] for _ in range(20)]
    medians = [float(np.median([getattr(check, name) for check in checks])) for name in ("base", "head", "margin")]
    return medians[0], medians[1], medians[2]


def _floors(machine: Machine) -> dict[str, Floor]:
    return floors_of([ratios_of([machine.round({}) for _ in CELLS]) for _ in range(NOISE_ROUNDS)])


def _alarmed(result: Result) -> bool:
    return result.verdict in ALARMS


def _slower_caught(result: Result) -> bool:
    return any(check.verdict is Verdict.REGRESSION and check.kind == "latency" for check in result.checks)


def _slower_passed(result: Result) -> bool:
    return any(
        check.verdict is Verdict.PASS and check.cell == CELLS[0] and check.title == "latency" for check in result.checks
    )


def _fd_caught(result: Result) -> bool:
    return any(check.verdict is Verdict.REGRESSION and check.quantity == "fd-shapes" for check in result.checks)


def stored_percentage(machine: Machine, percent: float = 5.0) -> bool:
    """An alarm where the mean is more than `percent` above one that was stored, on another machine of that kind."""
    before = Machine(machine.rng)
    means = [float(np.mean(_totals(side.round({}), "head"))) for side in (before, machine)]
    return means[1] > means[0] * (1 + percent / 100)


def one_after_the_other(machine: Machine) -> bool:
    """Mann-Whitney over base's visits and then head's: what drifts in between is taken for a difference."""
    first, second = (_totals(machine.round({}), side) for side in ("base", "head"))
    return bool(mannwhitneyu(second, first, alternative="greater").pvalue <= ALPHA)


def without_floor(machine: Machine) -> bool:
    """Signed ranks over pairs of one round, taking two processes of the same code to be equally fast."""
    pairs = machine.round({}, pairs=4 * PAIRS)
    ratios = [math.log(pair.head[TOTAL] / pair.base[TOTAL]) for pair in pairs]
    return p_above(np.asarray(ratios), 0.0) <= ALPHA


def _totals(pairs: Sequence[Pair], side: str) -> list[float]:
    return [getattr(pair, side)[TOTAL] for pair in pairs]


CONTROLS: Mapping[str, Callable[[Machine], bool]] = {
    "5 % over a stored baseline": partial(stored_percentage, percent=5.0),
    "base first, then head, Mann-Whitney at 1 %": one_after_the_other,
    "in turn, without a noise floor, at 1 %": without_floor,
}
