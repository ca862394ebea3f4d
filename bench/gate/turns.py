"""A round: a fresh process of each side, visited in turn."""

from __future__ import annotations

import random
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from bench.gate.latency import Pair
from bench.gate.sides import Settings, Side, Visitor

PAIRS = 16
"""Visits to each side, a cell and round. Sixteen pairs give p-values down to 2e-5, which the correction over cells and
looks leaves room for."""

VISIT_S = 0.15
"""About how long a visit lasts: long beside the clock and a context switch, short beside what drifts."""

MOST_CALLS = 40


def one_round(
    base: Side, head: Side, settings: Settings, rng: random.Random, logs: Path, pairs: int = PAIRS
) -> dict[tuple[str, int], list[Pair]]:
    """{(method, steps): pairs} of one round; cells that a side does not support are left out.

    Both processes load at once; from then on one works while the other waits, as threads of two that warm up at once
    keep each other waiting. In each pair it is drawn which goes first.

    Raises:
        SideEndedError: where a side fails.
    """
    with ExitStack() as stack:
        order = [base, head]
        rng.shuffle(order)  # of starting, so that neither side always finds the warmer cache
        started = {side.name: stack.enter_context(side.visitor(settings, logs / f"{side.name}.txt")) for side in order}
        sides = (started[base.name], started[head.name])
        ready = [started[side.name].ready() for side in order]
        found = {}
        for index, cell in enumerate(settings.cells):
            if all(index in seconds for seconds in ready):
                calls = _calls(min(seconds[index] for seconds in ready))
                found[cell] = [_pair(sides, index, calls, rng) for _ in range(pairs)]
    return found


def _calls(seconds: float) -> int:
    return max(3, min(MOST_CALLS, round(VISIT_S / max(seconds, 1e-6))))


def _pair(sides: tuple[Visitor, Visitor], cell: int, calls: int, rng: random.Random) -> Pair:
    times: dict[str, Mapping[str, float]] = {}
    for side in rng.sample(sides, 2):
        times[side.name] = side.visit(cell, calls)
    return Pair(times[sides[0].name], times[sides[1].name])
