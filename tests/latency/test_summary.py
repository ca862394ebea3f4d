"""Quantiles and their intervals: closed forms, coverage of distributions with known quantiles, and where it ends."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.latency import summary
from bench.latency.summary import calls_for, quantile, ratio_of_medians

REPETITIONS = 200
BAND = 3.5 * math.sqrt(0.95 * 0.05 / REPETITIONS)  # a correct interval leaves it in 1 of 2,000 choices of seed


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "RESAMPLES", 299)


def coverage(share: float, n: int) -> float:
    """How often the interval holds the quantile of an exponential distribution, skewed as latencies are."""
    rng, truth = np.random.default_rng(0), -math.log(1 - share)
    intervals = [quantile(rng.exponential(size=n).tolist(), share) for _ in range(REPETITIONS)]
    return float(np.mean([low <= truth <= high for _, low, high in intervals]))


def test_values_are_the_quantiles() -> None:
    samples = [float(value) for value in range(1, 12)]  # 1..11: quantiles lie on samples
    assert [quantile(samples, share)[0] for share in (0.1, 0.5, 0.9)] == [2.0, 6.0, 10.0]
    value, low, high = quantile(samples, 0.5)
    assert 1.0 <= low <= value <= high <= 11.0


def test_the_same_samples_give_the_same_interval() -> None:
    samples = np.random.default_rng(1).exponential(size=30).tolist()
    assert quantile(samples, 0.5) == quantile(samples, 0.5)
    assert quantile(samples, 0.5) != quantile(samples[:-1], 0.5)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_intervals_cover(share: float) -> None:
    # the percentile bootstrap of a quantile is approximate: within 2 points of 95 % at 100 calls, beside the band
    assert abs(coverage(share, n=100) - 0.95) < 0.02 + BAND


def test_p99_of_too_few_calls_does_not_cover() -> None:
    assert calls_for(0.99) == 500
    assert calls_for(0.5) == 10
    assert coverage(0.99, n=50) < 0.75  # 40 % of such samples hold nothing beyond it


def test_one_call_has_a_value_and_no_interval() -> None:
    assert quantile([0.25], 0.99) == (0.25, 0.25, 0.25)


def test_a_ratio_of_medians() -> None:
    rng = np.random.default_rng(2)
    above, below = rng.normal(6, 0.1, 50).tolist(), rng.normal(2, 0.1, 50).tolist()
    value, low, high = ratio_of_medians(above, below, 10.0)
    assert low < value < high
    assert value == pytest.approx(10 * np.median(above) / np.median(below), rel=1e-12)  # the same arithmetic
    assert low < 30 < high


@pytest.mark.parametrize("samples", [[], [1.0, math.nan], [math.inf]])
def test_samples_that_are_none_or_not_finite_are_refused(samples: list[float]) -> None:
    with pytest.raises(ValueError, match=r"no samples|not finite"):
        quantile(samples, 0.5)
    with pytest.raises(ValueError, match="between 0 and 1"):
        quantile([1.0], 1.5)
