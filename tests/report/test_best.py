"""A value is marked as best only where the intervals, or the paired differences, carry it."""

from __future__ import annotations

import random

import pytest

from bench.report.best import MIN_PAIRS, beats, marks, paired_interval, verdicts
from bench.report.display import columns
from bench.report.pareto import pareto_front
from bench.report.tables import findings


def marked(records) -> set[tuple[str, str]]:
    found = marks(verdicts(records, columns(records)))
    by_name = {record.cell.name: record.cell.method for record in records}
    return {(by_name[cell], quantity) for cell, quantity in found}


def test_intervals_apart_mark_the_better_in_both_directions(make):
    records = [
        make.record("add", 1, (make.quantity("fd", 5, 1), make.quantity("share", 60, 1, higher=True))),
        make.record("lcm", 1, (make.quantity("fd", 9, 1), make.quantity("share", 80, 1, higher=True))),
    ]
    assert marked(records) == {("add", "fd"), ("lcm", "share")}


def test_overlapping_intervals_mark_nothing(make):
    records = [
        make.record("add", 1, (make.quantity(value=5, half=1),)),
        make.record("lcm", 1, (make.quantity(value=6),)),
    ]
    assert marked(records) == set()


def test_the_best_must_beat_all_and_not_only_the_worst(make):
    records = [make.record(name, 1, (make.quantity(value=fd),)) for name, fd in (("a", 5), ("b", 6), ("c", 50))]
    assert marked(records) == set()


def test_step_counts_are_not_mixed(make):
    records = [make.record("add", 1, (make.quantity(value=9),)), make.record("lcm", 4, (make.quantity(value=1),))]
    assert marked(records) == set()


def test_values_without_any_interval_mark_nothing(make):
    records = [
        make.record("add", 1, (make.quantity(value=5, half=0),)),
        make.record("lcm", 1, (make.quantity(half=0),)),
    ]
    assert marked(records) == set()


def test_findings_say_what_is_best_and_what_cannot_be_told(make):
    records = [
        make.record("add", 1, (make.quantity("a", 5), make.quantity("b", 5), make.quantity("c", 5))),
        make.record("lcm", 1, (make.quantity("a", 9), make.quantity("b", 6), make.quantity("c", 1))),
    ]
    shown = columns(records)
    assert findings(verdicts(records, shown), shown) == [
        "At 1 step (add, lcm): add is best on a; lcm is best on c; cannot tell on b."
    ]


def scores(shift: float, seed: int, n: int = 400) -> tuple[float, ...]:
    """Image difficulty shared by all methods, plus a small shift and a little noise of its own."""
    common, own = random.Random(0), random.Random(seed)
    return tuple(common.gauss(50, 20) + shift + own.gauss(0, 1) for _ in range(n))


def test_pairs_tell_what_intervals_cannot(make):
    """Spread over images 20, of the difference 1.4: a shift of 1 is 14 standard errors paired, 0.7 unpaired."""
    one, other = (
        make.record(name, 1, (make.quantity("score", 50 + shift, 2, higher=True),), {"score": scores(shift, seed)})
        for name, shift, seed in (("add", 1.0, 1), ("lcm", 0.0, 2))
    )
    assert beats(one, other, "score")
    assert not beats(other, one, "score")
    assert marked([one, other]) == {("add", "score")}


def test_pairs_of_equal_methods_tell_nothing(make):
    one, other = (
        make.record(name, 1, (make.quantity("score", value, 2, higher=True),), {"score": scores(0, seed)})
        for name, value, seed in (("add", 50.1, 1), ("lcm", 50.0, 2))
    )
    assert not beats(one, other, "score")


def test_paired_interval_covers_the_true_difference():
    """A 95 % interval misses 5 % of the time: of 400 draws between 360 and 398 hold the truth (6 standard errors)."""
    hits = 0
    for seed in range(400):
        rng = random.Random(seed)
        one = [rng.gauss(3, 1) for _ in range(MIN_PAIRS)]
        other = [rng.gauss(1, 1) for _ in range(MIN_PAIRS)]
        low, high = paired_interval(one, other)
        hits += low <= 2 <= high
    assert 360 <= hits <= 398


@pytest.mark.parametrize(("n", "m"), [(MIN_PAIRS - 1, MIN_PAIRS - 1), (MIN_PAIRS, MIN_PAIRS + 1)])
def test_lists_that_do_not_pair_give_no_interval(n, m):
    assert paired_interval([1.0] * n, [0.0] * m) is None


def test_pareto_front_by_hand():
    cost = [1, 2, 3, 4, 4, 1]
    quality = [9, 5, 6, 2, 3, 9]  # the third and the fifth are dominated; the first and the last are equal
    assert pareto_front(cost, quality, higher_is_better=False) == [True, True, False, True, False, True]
    assert pareto_front(cost, [-q for q in quality], higher_is_better=True) == [True, True, False, True, False, True]


def test_pareto_front_of_one_point():
    assert pareto_front([1], [1], higher_is_better=True) == [True]
