"""Intervals cover what they say they cover, at the rate they say; intervals known to be wrong are seen to fail.

Tolerances: R repetitions of a 95 % interval cover with a standard deviation of sqrt(0.95 x 0.05 / R); the bands are 3.5
of these wide, which a correct interval leaves in 1 of 2,000 choices of seed (the seeds are fixed).
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom, multinomial

from bench.metrics.statistics import (
    Estimate,
    bootstrap_interval,
    mean_interval,
    paired_difference,
    share_interval,
)

REPETITIONS = 600
BAND = 3.5 * math.sqrt(0.95 * 0.05 / REPETITIONS)


def rate(truth: float, intervals: list[Estimate]) -> float:
    return float(np.mean([item.low <= truth <= item.high for item in intervals]))


def test_mean_interval_covers() -> None:
    rng = np.random.default_rng(1)
    intervals = [mean_interval(rng.normal(3.0, 2.0, size=6)) for _ in range(REPETITIONS)]
    assert abs(rate(3.0, intervals) - 0.95) < BAND


def test_coverage_check_fails_for_a_bootstrap_error_divided_by_root_b() -> None:
    rng = np.random.default_rng(2)
    covered = []
    for _ in range(200):
        data = rng.normal(3.0, 2.0, size=30)
        means = data[rng.integers(30, size=(100, 30))].mean(axis=1)
        covered.append(abs(data.mean() - 3.0) < 1.96 * means.std(ddof=1) / math.sqrt(100))
    assert np.mean(covered) < 0.5


def test_mean_interval_of_hand_computed_numbers() -> None:
    # mean 2, standard deviation 1, t(0.975, 2) = 4.302653, so half a width of 4.302653 / sqrt(3) = 2.484138
    got = mean_interval([1, 2, 3])
    assert (got.value, got.n) == (2.0, 3)
    assert got.high - got.value == pytest.approx(2.484138, abs=1e-6)
    assert got.value - got.low == pytest.approx(2.484138, abs=1e-6)


# The first three are examples of Newcombe 1998, Statistics in Medicine 17, table I (method 3); the last is the mirror.
@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (20, 20, 0.8389, 1.0)],
)
def test_share_interval_known_values(successes: int, n: int, low: float, high: float) -> None:
    got = share_interval(successes, n)
    assert got.value == successes / n
    assert got.low == pytest.approx(low, abs=6e-5)
    assert got.high == pytest.approx(high, abs=6e-5)


def exact_share_coverage(n: int, p: float, wald: bool = False) -> float:
    """No sampling: the binomial probability of all outcomes whose interval holds p."""
    total = 0.0
    for k in range(n + 1):
        got = share_interval(k, n)
        if wald:
            half = 1.96 * math.sqrt(got.value * (1 - got.value) / n)
            got = Estimate(got.value, got.value - half, got.value + half, n)
        total += float(binom.pmf(k, n, p)) * (got.low <= p <= got.high)
    return total


def test_share_interval_covers() -> None:
    grid = np.linspace(0.02, 0.98, 97)
    rates = [exact_share_coverage(50, p) for p in grid]
    assert 0.945 < np.mean(rates) < 0.965  # 0.953: Wilson's mean coverage is close to nominal
    assert min(rates) > 0.89  # discreteness makes it dip at single p
    assert exact_share_coverage(50, 0.02, wald=True) < 0.70  # the normal interval has no width at 0 of 50


def test_share_interval_with_ties_covers_at_least_as_often() -> None:
    n, (win, tie, loss) = 30, (0.35, 0.3, 0.35)
    covered = 0.0
    for wins in range(n + 1):
        for ties in range(n + 1 - wins):
            got = share_interval(wins + 0.5 * ties, n)
            probability = float(multinomial.pmf([wins, ties, n - wins - ties], n, [win, tie, loss]))
            covered += probability * (got.low <= win + tie / 2 <= got.high)
    assert covered > 0.95


def test_paired_difference_covers_and_is_narrow_only_when_paired() -> None:
    rng = np.random.default_rng(4)
    intervals, widths, unpaired = [], [], []
    for _ in range(REPETITIONS):
        prompt = rng.normal(0.0, 5.0, size=25)  # what a prompt does to both methods
        ours, theirs = prompt + rng.normal(0.5, 1.0, 25), prompt + rng.normal(0.0, 1.0, 25)
        intervals.append(paired_difference(candidate=ours, baseline=theirs))
        widths.append(intervals[-1].high - intervals[-1].low)
        shuffled = paired_difference(candidate=ours, baseline=rng.permutation(theirs))
        unpaired.append(shuffled.high - shuffled.low)
    assert abs(rate(0.5, intervals) - 0.95) < BAND
    assert np.mean(widths) < 0.4 * np.mean(unpaired)  # sqrt(2) against sqrt(52)


def test_paired_difference_is_candidate_minus_baseline() -> None:
    assert paired_difference(candidate=[2.0, 3.0], baseline=[1.0, 1.5]).value == 1.25


@pytest.mark.parametrize("values", [[], [1.0], [1.0, float("nan")], [1.0, float("inf")]])
def test_nothing_and_non_finite_raise(values: list[float]) -> None:
    with pytest.raises(ValueError, match=r"needs at least 2 values|finite"):
        mean_interval(values)
    with pytest.raises(ValueError, match=r"needs at least 2 values|finite"):
        bootstrap_interval(values, np.random.default_rng(0))


def test_bad_shares_and_pairs_raise() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        share_interval(0, 0)
    with pytest.raises(ValueError, match=r"\[0, 3\]"):
        share_interval(4, 3)
    with pytest.raises(ValueError, match="equal lengths"):
        paired_difference(candidate=[1.0, 2.0], baseline=[1.0, 2.0, 3.0])
    with pytest.raises(TypeError):
        paired_difference([1.0, 2.0], [1.0, 2.0])  # type: ignore[misc]


def test_confidence_widens() -> None:
    data = [1.0, 2.0, 4.0, 8.0]
    narrow, wide = mean_interval(data, confidence=0.8), mean_interval(data, confidence=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_estimates_scale_and_clip() -> None:
    assert Estimate(0.5, 0.2, 0.8, 4).scaled(100) == Estimate(50, 20, 80, 4)
    assert Estimate(0.5, -0.2, 0.8, 4).at_least(0.0) == Estimate(0.5, 0.0, 0.8, 4)
