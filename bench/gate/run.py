"""A gate from beginning to end: measure both sides, compare, measure on while that could decide more."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.gate.decide import decide, undecided
from bench.gate.latency import ROUNDS, Floor, Pair, Timed
from bench.gate.noise import ROUNDS as NOISE_ROUNDS
from bench.gate.noise import NoiseStore
from bench.gate.records import record_checks, reported_latencies
from bench.gate.sides import Settings, Side, SideEndedError
from bench.gate.turns import one_round
from bench.gate.verdicts import EXIT_CODES, Check, Verdict, overall, settled
from bench.record import Record

Tell = Callable[[str], None]
Rounds = dict[tuple[str, int], list[Pair]]


@dataclass(frozen=True)
class Outcome:
    """What a gate found. `pairs` are the raw times by cell, a list a round."""

    checks: tuple[Check, ...]
    rounds: int
    seconds: float
    base: str
    head: str
    floors: Mapping[str, Floor] = field(default_factory=dict)
    pairs: Mapping[str, Sequence[Sequence[Pair]]] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """Of the whole gate."""
        return overall(check.verdict for check in self.checks if check.verdict is not None)

    @property
    def exit_code(self) -> int:
        """Of the command."""
        return EXIT_CODES[self.verdict]


@dataclass(frozen=True)
class Request:
    """How a gate measures. `out` holds records, images and logs; `rounds` is the most there will be.

    `expect_better` takes the upper end of the band away. `quality` and `latency` say what is looked at.
    """

    settings: Settings
    out: Path
    store: NoiseStore
    rounds: int = ROUNDS
    noise_rounds: int = NOISE_ROUNDS
    expect_better: bool = False
    quality: bool = True
    latency: bool = True
    tell: Tell = lambda _line: None


def gate_trees(base: Side, head: Side, request: Request, base_records: Sequence[Record] | None = None) -> Outcome:
    """Both trees measured here and now; where `base_records` are given they stand for the base's quality.

    Raises:
        FewstepError: where a side leaves no records.
    """
    start = time.monotonic()
    checks: list[Check] = []
    if request.quality:
        if base_records is None:
            request.tell("quality: measuring base")
            base_records = base.run(request.settings, request.out / "base", request.out / "logs" / "base-run.txt")
        request.tell("quality: measuring head")
        head_records = head.run(request.settings, request.out / "head", request.out / "logs" / "head-run.txt")
        checks = record_checks(base_records, head_records, expect_better=request.expect_better)
    timing = _Timing(base, head, request)
    decided = timing.run(checks) if request.latency else decide(checks)
    return Outcome(
        tuple(decided), timing.rounds, time.monotonic() - start, base.name, head.name, timing.floors, timing.pairs
    )


def gate_records(base: Sequence[Record], head: Sequence[Record], *, expect_better: bool = False) -> Outcome:
    """Records alone: quality is gated, latency reported."""
    start = time.monotonic()
    checks = decide([*record_checks(base, head, expect_better=expect_better), *reported_latencies(base, head)])
    return Outcome(tuple(checks), 0, time.monotonic() - start, "base", "head")


def calibrate(tree: Side, request: Request, rounds: int) -> None:
    """Measure `tree` against itself, and keep what its two sides differ by."""
    rng = random.Random()
    for number in range(rounds):
        request.tell(f"noise floor of this machine: A/A round {number + 1} of {rounds}")
        sides = Side("base", tree.tree), Side("head", tree.tree)
        found = one_round(*sides, request.settings, rng, request.out / "logs" / "noise")
        request.store.add(list(found.values()))


class _Timing:
    """The rounds of one gate."""

    def __init__(self, base: Side, head: Side, request: Request) -> None:
        self._base, self._head, self._request = base, head, request
        self.rounds = 0
        self.floors: dict[str, Floor] = {}
        self.pairs: dict[str, list[list[Pair]]] = {}
        self._timed: dict[str, Timed] = {}
        self._rng = random.Random()

    def run(self, checks: Sequence[Check]) -> list[Check]:
        """The decided checks of quality and latency, after as many rounds as it took."""
        request = self._request
        try:
            if (missing := request.noise_rounds - request.store.rounds) > 0:
                calibrate(self._base, request, missing)
            self.floors = request.store.floors()
            while True:
                request.tell(f"latency: round {self.rounds + 1} of at most {request.rounds}")
                self._add(one_round(self._base, self._head, request.settings, self._rng, request.out / "logs"))
                decided = decide([*checks, *self._checks()])
                if self.rounds >= request.rounds or not undecided(decided):
                    return decided
        except SideEndedError as error:
            verdict = Verdict.REGRESSION if error.side == "head" else Verdict.INCONCLUSIVE
            title = "latency"
            return decide(
                [*checks, *self._checks(), settled(request.settings.suite, "latency", verdict, str(error), title=title)]
            )

    def _add(self, found: Rounds) -> None:
        self.rounds += 1
        for (method, steps), pairs in found.items():
            name = f"{self._request.settings.suite}/{method}-{steps}"
            timed = self._timed.setdefault(name, Timed(name, self.floors, self._request.rounds))
            timed.add(pairs)
            self.pairs.setdefault(name, []).append(list(pairs))

    def _checks(self) -> list[Check]:
        return [check for timed in self._timed.values() for check in timed.checks()]
