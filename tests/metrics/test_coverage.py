"""Intervals cover, and equal methods are told apart no more often than they should: 1,000 simulations, and a sample.

With R repetitions a share p has a standard deviation of sqrt(p (1 - p) / R). The sample in the default suite allows 3.5
of these beyond the bounds; the study itself, marked slow, is held to the bounds as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from bench.metrics.distances import Gaussian, frechet_distance, gaussian
from tests.metrics.study import (
    Case,
    Outcome,
    clustered_scores,
    frechet,
    frechet_bias,
    inception,
    kernels,
    neighbours,
    scores,
    study,
)

IMAGES = (0.93, 0.97)
SETS = (0.93, 0.995)
CALLED = 0.065
STUDY = 1000

CASES: dict[str, tuple[Callable[[], Case], tuple[float, float], int]] = {
    "scores": (scores, IMAGES, 40),
    "clustered": (clustered_scores, IMAGES, 60),
    "frechet": (lambda: frechet(300, 8, 1.3, infinity=True), SETS, 100),
    "kernels": (kernels, SETS, 40),
    "neighbours": (neighbours, SETS, 15),
    "inception": (inception, SETS, 100),
}
"""Case, the bounds of its coverage, and how many repetitions the sample has."""

ONLY_STUDIED: dict[str, tuple[Callable[[], Case], tuple[float, float], int]] = {
    "frechet-64": (lambda: frechet(1000, 64, 1.1), SETS, STUDY),
    "frechet-more-dimensions": (lambda: frechet(80, 100, 1.3), (0.93, 1.0), 300),
}


def check(outcomes: dict[str, Outcome], bounds: tuple[float, float], repetitions: int, slack: float) -> None:
    def beyond(share: float) -> float:
        return slack * math.sqrt(share * (1 - share) / repetitions)

    for name, outcome in outcomes.items():
        print(f"{name}: covered {outcome.covered:.3f}, called different {outcome.called_different:.3f}")  # noqa: T201
        if name == "ignored":
            continue
        assert bounds[0] - beyond(bounds[0]) <= outcome.covered <= bounds[1] + beyond(bounds[1]), name
        assert outcome.called_different <= CALLED + beyond(CALLED), name


@pytest.mark.parametrize("name", CASES)
def test_a_sample_of_the_study(name: str) -> None:
    make, bounds, repetitions = CASES[name]
    check(study(make(), repetitions), bounds, repetitions, slack=3.5)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CASES, *ONLY_STUDIED])
def test_the_study(name: str) -> None:
    make, bounds, repetitions = {**CASES, **ONLY_STUDIED}[name]
    repetitions = STUDY if name in CASES else repetitions
    check(study(make(), repetitions), bounds, repetitions, slack=0.0)


def test_clusters_that_are_ignored_are_seen() -> None:
    """The control: with four images a prompt taken for independent, 95 % become about 75 %."""
    outcome = study(clustered_scores(), 150)["ignored"]
    assert outcome.covered < 0.87
    assert outcome.called_different > 0.1


def test_the_frechet_distance_expected_at_n_is_the_closed_form_and_its_bias() -> None:
    n, width, scale = 1000, 16, 1.2
    outcomes = study(frechet(n, width, scale, infinity=True), 60)
    closed = outcomes["infinity"].truth
    assert closed == pytest.approx(width * (0.2**2 + 0.1**2))
    bias = frechet_bias(n, width, scale)
    assert outcomes["frechet"].mean - closed == pytest.approx(bias, rel=0.2)
    assert abs(outcomes["infinity"].mean - closed) < 0.2 * bias


def percentile_coverage(n: int, width: int, draws: int, resamples: int) -> float:
    """How often a percentile bootstrap covers the distance expected at this n."""
    rng, reference = np.random.default_rng(0), Gaussian(np.zeros(width), np.eye(width), 10**9)
    sets = [1.1 * rng.normal(size=(n, width)) + 0.1 for _ in range(draws)]
    truth = np.mean([frechet_distance(generated=gaussian(features), reference=reference) for features in sets])
    covered = []
    for features in sets:
        rows = [features[rng.integers(n, size=n)] for _ in range(resamples)]
        values = [frechet_distance(generated=gaussian(part), reference=reference) for part in rows]
        low, high = np.quantile(values, [0.025, 0.975])
        covered.append(low <= truth <= high)
    return float(np.mean(covered))


def test_the_percentile_bootstrap_of_a_frechet_distance_never_covers() -> None:
    """The control: at 64 dimensions and 1,000 images, resampling adds the bias a second time."""
    assert percentile_coverage(1000, 64, draws=5, resamples=40) == 0.0


@pytest.mark.slow
def test_the_percentile_bootstrap_of_a_frechet_distance_never_covers_in_a_hundred_sets() -> None:
    assert percentile_coverage(1000, 64, draws=100, resamples=100) == 0.0
