"""Latency: looks that spend the error, a noise floor, stages, and what more rounds would decide."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.gate.decide import decide
from bench.gate.latency import DENOISER, TOTAL, Floor, Pair, Timed
from bench.gate.verdicts import Check, Verdict
from tests.gate.worlds import FLOOR, pairs


def after(rounds: int, slower: float = 1.0, floor: dict[str, Floor] | None = None, **options: float) -> list[Check]:
    rng = np.random.default_rng(0)
    timed = Timed("shapes/add-1", floor or FLOOR)
    for _ in range(rounds):
        timed.add(pairs(rng, slower, **options))  # type: ignore[arg-type]
    return decide(timed.checks())


@pytest.mark.parametrize(
    ("slower", "verdict"),
    [(1.0, Verdict.PASS), (1.01, Verdict.PASS), (1.06, Verdict.REGRESSION), (0.8, Verdict.PASS)],
)
def test_verdicts(slower: float, verdict: Verdict) -> None:
    total, denoiser = after(3, slower)
    assert total.verdict is denoiser.verdict is verdict
    assert total.change == pytest.approx(100 * (slower - 1), abs=1)
    assert total.low < total.change < total.high


def test_it_names_the_stage() -> None:
    note = after(3, 1.06)[0].note
    assert note.startswith("denoiser +")
    assert "decoder +" in note


def test_a_stage_alone_is_seen() -> None:
    rng = np.random.default_rng(0)
    timed = Timed("shapes/add-1", FLOOR)
    for _ in range(3):
        quiet = pairs(rng)
        timed.add([Pair(p.base, {**p.head, DENOISER: 1.055 * p.head[DENOISER]}) for p in quiet])
    total, denoiser = decide(timed.checks())
    assert (total.verdict, denoiser.verdict) == (Verdict.PASS, Verdict.REGRESSION)


def test_a_noisy_machine_cannot_tell_and_says_what_would() -> None:
    total = after(2, floor={TOTAL: Floor(0.02, 6), DENOISER: Floor(0.02, 6)})[0]
    assert total.verdict is Verdict.INCONCLUSIVE
    assert total.more.endswith("more rounds")


def test_without_a_floor_nothing_is_decided() -> None:
    total = after(5, 1.5, floor={TOTAL: Floor(math.inf, 0), DENOISER: Floor(math.inf, 0)})[0]
    assert total.verdict is Verdict.INCONCLUSIVE
    assert "--calibrate" in total.more


def test_a_difference_between_processes_is_no_regression_but_for_a_gate_without_a_floor() -> None:
    """Processes of the same code, 4 % apart: every pair of a round says so, and only the floor knows better."""
    wide = {TOTAL: Floor(0.02, 6), DENOISER: Floor(0.02, 6)}
    assert after(3, 1.04, floor=wide)[0].verdict is Verdict.INCONCLUSIVE
    assert after(3, 1.04, floor={TOTAL: Floor(0.0, 6), DENOISER: Floor(0.0, 6)})[0].verdict is Verdict.REGRESSION


@pytest.mark.parametrize("odd", [0, 2, 4])
def test_one_odd_process_neither_raises_an_alarm_nor_hides_one(odd: int) -> None:
    rng = np.random.default_rng(0)
    floor = {TOTAL: Floor(0.005, 20), DENOISER: Floor(0.005, 20)}
    alike, slower = Timed("c", floor), Timed("c", floor)
    for place in range(5):
        alike.add(pairs(rng, 1.14 if place == odd else 1.0))
        slower.add(pairs(rng, 0.9 if place == odd else 1.06))
    assert not {check.verdict for check in decide(alike.checks())} & {Verdict.REGRESSION}
    assert not {check.verdict for check in decide(slower.checks())} & {Verdict.PASS}


def test_nothing_is_decided_before_the_third_round() -> None:
    assert {check.verdict for check in after(2, 1.2) + after(2)} == {Verdict.INCONCLUSIVE}


def test_looking_often_does_not_raise_the_rate_of_false_alarms() -> None:
    """The least p-value of the looks, corrected for their number, is at most uniform; uncorrected it is not."""
    rng = np.random.default_rng(3)
    none = {TOTAL: Floor(0.0, 6), DENOISER: Floor(0.0, 6)}
    corrected = naive = 0
    for _ in range(200):
        timed, found = Timed("c", none), []
        for _round in range(7):
            timed.add(pairs(rng, n=8))
            found.append(timed.checks()[0].p_worse)
        corrected += min(found) <= 0.1
        naive += min(found) / 3 <= 0.1
    assert corrected <= 20 + 4 * 4.2  # 10 % of 200, and four standard deviations
    assert naive > 28, "the correction would not be needed"


def test_a_look_that_was_not_settled_is_refused() -> None:
    timed = Timed("c", FLOOR, most=1)
    timed.add(pairs(np.random.default_rng(0)))
    with pytest.raises(ValueError, match="settled"):
        timed.add(pairs(np.random.default_rng(0)))
