"""Set distances: their intervals cover, their pseudo-values average to them, and their sums do not lose digits.

The truth of a coverage test is the mean distance over many independent draws at the same n, which is what the interval
is for. Bands are 3.5 standard deviations of a share of 0.95 over the repetitions.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.metrics.distances import (
    Gaussian,
    Moments,
    frechet_distance,
    frechet_interval,
    frechet_pseudo_values,
    gaussian,
    kernel_pseudo_values,
    mean_self_kernel,
    polynomial_kernel,
)
from bench.metrics.statistics import Array, mean_interval, paired_difference

REPETITIONS = 300
BAND = 3.5 * math.sqrt(0.95 * 0.05 / REPETITIONS)


def generated(rng: np.random.Generator, n: int, width: int, shift: float = 0.3) -> Array:
    """Rectified Gaussian features that differ from the reference in mean and spread."""
    return np.maximum(1.3 * rng.normal(size=(n, width)) + shift, 0)


def reference(width: int, rows: int = 2000) -> Array:
    return np.maximum(np.random.default_rng(99).normal(size=(rows, width)), 0)


def frechet(features: Array, target: Gaussian) -> float:
    return frechet_distance(generated=gaussian(features), reference=target)


def test_frechet_interval_covers() -> None:
    rng, n, width = np.random.default_rng(1), 150, 12
    target = gaussian(reference(width))
    truth = np.mean([frechet(generated(rng, n, width), target) for _ in range(2000)])
    covered = []
    for _ in range(REPETITIONS):
        interval = frechet_interval(frechet_pseudo_values(generated(rng, n, width), reference=target))
        covered.append(interval.low <= truth <= interval.high)
    assert abs(np.mean(covered) - 0.95) < BAND


def test_frechet_interval_covers_where_the_percentile_bootstrap_never_does() -> None:
    """Near the reference and in many dimensions, where the bias of 1/n is many times the spread."""
    rng, n, width = np.random.default_rng(1), 120, 32
    target = gaussian(reference(width))
    draws = [np.maximum(rng.normal(size=(n, width)) + 0.3, 0) for _ in range(200)]
    truth = np.mean([frechet(features, target) for features in draws])
    intervals = [frechet_interval(frechet_pseudo_values(features, reference=target)) for features in draws]
    assert np.mean([item.low <= truth <= item.high for item in intervals]) > 0.95 - BAND
    for features in draws[:15]:
        resampled = [frechet(features[rng.integers(n, size=n)], target) for _ in range(50)]
        assert np.quantile(resampled, 0.025) > truth


def test_frechet_interval_of_a_small_skewed_distance() -> None:
    """Two alike sets whose spread lies in one direction: the symmetric interval is too low, the root's is not."""
    rng, n, width, repetitions = np.random.default_rng(11), 200, 6, 400
    spread = np.array([3.0, *[0.1] * (width - 1)])
    target = gaussian(np.random.default_rng(98).normal(size=(20_000, width)) * spread)
    pseudo = [frechet_pseudo_values(rng.normal(size=(n, width)) * spread, reference=target) for _ in range(repetitions)]
    truth = np.mean([item.mean() for item in pseudo])
    on_root = [frechet_interval(item) for item in pseudo]
    symmetric = [mean_interval(item) for item in pseudo]
    root_rate, symmetric_rate = (
        np.mean([item.low <= truth <= item.high for item in intervals]) for intervals in (on_root, symmetric)
    )
    assert root_rate > 0.9
    assert symmetric_rate < 0.9
    assert all(0 <= item.low <= item.value <= item.high for item in on_root)


@pytest.mark.parametrize("n", [120, 20])
def test_frechet_interval_in_more_dimensions_than_images(n: int) -> None:
    """Where N is not far above D, or below it, its spread is estimated roughly; it must not be too bold."""
    rng, width = np.random.default_rng(2), 32
    target = gaussian(reference(width))
    draws = [generated(rng, n, width) for _ in range(200)]
    truth = np.mean([frechet(features, target) for features in draws])
    intervals = [frechet_interval(frechet_pseudo_values(features, reference=target)) for features in draws]
    assert np.mean([item.low <= truth <= item.high for item in intervals]) > 0.88


def test_paired_frechet_difference_covers_and_beats_two_intervals() -> None:
    """Two methods drew the same noise: pseudo-values differ as the distances do, with less spread."""
    rng, n, width = np.random.default_rng(3), 150, 8
    target = gaussian(reference(width))

    def pair() -> tuple[Array, Array]:
        noise = rng.normal(size=(n, width))
        return np.maximum(1.3 * noise + 0.3, 0), np.maximum(1.3 * noise + 0.35 + 0.05 * rng.normal(size=(n, width)), 0)

    truth = np.mean([frechet(b, target) - frechet(a, target) for a, b in (pair() for _ in range(2000))])
    covered, ratio = [], []
    for _ in range(REPETITIONS):
        first, second = (frechet_pseudo_values(item, reference=target) for item in pair())
        difference = paired_difference(candidate=second, baseline=first)
        covered.append(difference.low <= truth <= difference.high)
        ratio.append((difference.high - difference.low) / (mean_interval(first).high - mean_interval(first).low))
    assert abs(np.mean(covered) - 0.95) < BAND
    assert np.mean(ratio) < 0.5


def test_frechet_pseudo_values_average_to_the_distance_and_follow_the_derivative() -> None:
    rng = np.random.default_rng(4)
    features, target = generated(rng, 200, 6), gaussian(reference(6))
    pseudo = frechet_pseudo_values(features, reference=target)
    value = frechet(features, target)
    assert pseudo.mean() == pytest.approx(value, rel=1e-12)
    # the derivative of the distance by the weight of image 0, by a weighted mean and covariance (step 1e-5)
    step, n = 1e-5, len(features)

    def weighted(weight: float) -> float:
        weights = np.full(n, (1 - weight) / n)
        weights[0] += weight
        mean = weights @ features
        covariance = (features - mean).T @ (weights[:, None] * (features - mean)) * n / (n - 1)
        return frechet_distance(generated=Gaussian(mean, covariance, n), reference=target)

    slope = (weighted(step) - weighted(-step)) / (2 * step)
    assert pseudo[0] - value == pytest.approx(slope, rel=0.01)  # n / (n - 1) enters the slope, not the influence


def test_kernel_interval_covers() -> None:
    rng, n, width, repetitions = np.random.default_rng(5), 300, 8, 600
    target = reference(width, rows=200)
    own = mean_self_kernel(target)
    draws = [
        kernel_pseudo_values(generated(rng, n, width), reference=target, reference_self=own) for _ in range(repetitions)
    ]
    truth = np.mean([item.mean() for item in draws])
    intervals = [mean_interval(item) for item in draws]
    rate = np.mean([item.low <= truth <= item.high for item in intervals])
    assert abs(rate - 0.95) < 3.5 * math.sqrt(0.95 * 0.05 / repetitions)
    # a spread over 100 random subsets, divided by the root of 100, is no interval for the distance
    errors = [item.std(ddof=1) / math.sqrt(n) / math.sqrt(100) for item in draws]
    assert np.mean([abs(item.mean() - truth) < 1.96 * error for item, error in zip(draws, errors, strict=True)]) < 0.5


def test_kernel_interval_is_never_too_narrow_where_both_sets_are_alike() -> None:
    rng, repetitions = np.random.default_rng(12), 400
    target = rng.normal(size=(400, 6))
    own = mean_self_kernel(target)
    draws = [
        kernel_pseudo_values(rng.normal(size=(60, 6)), reference=target, reference_self=own) for _ in range(repetitions)
    ]
    truth = np.mean([item.mean() for item in draws])
    intervals = [mean_interval(item) for item in draws]
    rate = np.mean([item.low <= truth <= item.high for item in intervals])
    assert rate > 0.95 - 3.5 * math.sqrt(0.95 * 0.05 / repetitions)


def test_kernel_distance_is_unbiased_and_the_frechet_distance_is_not() -> None:
    """Same distribution on both sides: the kernel distance averages to 0, the Frechet distance does not."""
    rng = np.random.default_rng(6)
    kernels, frechets = [], []
    for _ in range(300):
        first, second = rng.normal(size=(30, 5)), rng.normal(size=(40, 5))
        pseudo = kernel_pseudo_values(first, reference=second, reference_self=mean_self_kernel(second))
        kernels.append(pseudo.mean())
        frechets.append(frechet(first, gaussian(second)))
    assert abs(np.mean(kernels)) < 3.5 * np.std(kernels) / math.sqrt(300)
    assert np.mean(frechets) > 10 * np.std(frechets) / math.sqrt(300)


def test_kernel_pseudo_values_are_the_exact_jackknife() -> None:
    rng = np.random.default_rng(7)
    features, target = rng.normal(size=(9, 4)), rng.normal(size=(11, 4))
    own = mean_self_kernel(target)

    def distance(rows: Array) -> float:
        return mean_self_kernel(rows) - 2 * polynomial_kernel(rows, target).mean() + own

    expected = [9 * distance(features) - 8 * distance(np.delete(features, i, axis=0)) for i in range(9)]
    got = kernel_pseudo_values(features, reference=target, reference_self=own)
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12)
    assert got.mean() == pytest.approx(distance(features), rel=1e-10)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(8)
    features, target = rng.normal(size=(23, 4)), rng.normal(size=(31, 4))
    whole = kernel_pseudo_values(features, reference=target, reference_self=mean_self_kernel(target))
    monkeypatch.setattr("bench.metrics.kernel_distance.BLOCK", 7)
    monkeypatch.setattr("bench.metrics.kernel_distance.TILE", 5)
    blocked = kernel_pseudo_values(features, reference=target, reference_self=mean_self_kernel(target))
    np.testing.assert_allclose(blocked, whole, rtol=1e-12)


def test_moments_in_pieces_are_the_moments_of_all() -> None:
    rng = np.random.default_rng(9)
    features = rng.normal(size=(101, 5)) @ rng.normal(size=(5, 5)) + 1e6  # an offset of a million spreads
    moments = Moments()
    for start, stop in [(0, 1), (1, 2), (2, 50), (50, 101)]:
        moments.add(features[start:stop])
    got = moments.gaussian()
    assert got.n == 101
    np.testing.assert_allclose(got.mean, features.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(got.covariance, np.cov(features, rowvar=False), rtol=1e-8)
    raw = features.T @ features / 101 - np.outer(features.mean(axis=0), features.mean(axis=0))
    assert np.abs(raw * 101 / 100 - got.covariance).max() > 1e-5  # what raw second moments lose


def test_bad_features_raise() -> None:
    good = np.random.default_rng(0).normal(size=(5, 3))
    with pytest.raises(ValueError, match="at least 2 rows"):
        gaussian(good[:1])
    with pytest.raises(ValueError, match="at least 2 rows"):
        Moments().gaussian()
    with pytest.raises(ValueError, match="finite"):
        gaussian(np.where(good > 1, np.nan, np.nan))
    with pytest.raises(ValueError, match="width 2 after width 3"):
        Moments().add(good).add(good[:, :2])
    with pytest.raises(ValueError, match="at least 3 rows"):
        kernel_pseudo_values(good[:2], reference=good, reference_self=0.0)
    with pytest.raises(ValueError, match=r"\(N, D\)"):
        gaussian(good[0])
