"""Means over clusters, and the Inception score: known numbers, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from bench.clusters import clustered
from bench.judging import images_of
from bench.metrics.clip import ClipShapes
from bench.metrics.frechet import FrechetShapes
from bench.metrics.inception_score import divergences, inception_interval, inception_pseudo_values
from bench.metrics.interface import Metric, MetricBatch
from bench.metrics.kernel import KernelShapes
from bench.metrics.statistics import bootstrap_interval, mean_interval, paired_difference
from tests.metrics.tiny import context, feed, prompts, shapes


def test_equal_clusters_are_student_over_their_means() -> None:
    data = np.random.default_rng(0).normal(size=(20, 3))
    by_cluster = mean_interval(data.reshape(-1), clusters=np.repeat(np.arange(20), 3))
    by_mean = mean_interval(data.mean(axis=1))
    assert (by_cluster.low, by_cluster.high) == pytest.approx((by_mean.low, by_mean.high))
    assert by_cluster.n == 60


def test_clusters_need_not_stand_side_by_side_or_be_of_one_size() -> None:
    values, groups = np.array([1.0, 2.0, 3.0, 4.0, 9.0]), np.array([7, 3, 7, 3, 5])
    got = clustered(values, groups)
    assert got.sums.tolist() == [6.0, 9.0, 4.0]  # in the order of the numbers: 3, 5, 7
    assert got.counts.tolist() == [2.0, 1.0, 2.0]
    assert got.mean == pytest.approx(values.mean())
    residuals = got.sums - 3.8 * got.counts
    assert got.standard_error == pytest.approx(math.sqrt(1.5 * (residuals**2).sum()) / 5)


def test_the_bootstrap_is_scipys_and_depends_on_its_generator_alone() -> None:
    data = np.random.default_rng(1).lognormal(size=60)
    first, second = (bootstrap_interval(data, np.random.default_rng(2)) for _ in range(2))
    assert first == second
    assert first.low < first.value < first.high
    assert first.high - first.value > first.value - first.low  # it leans with the data, as Student's t does not


def test_bootstrap_of_clusters_is_as_wide_as_student_over_them() -> None:
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(100), 4)
    data = np.repeat(rng.normal(size=100), 4) + 0.1 * rng.normal(size=400)
    wide, student = bootstrap_interval(data, rng, clusters=groups), mean_interval(data, clusters=groups)
    narrow = bootstrap_interval(data, rng)
    assert wide.high - wide.low == pytest.approx(student.high - student.low, rel=0.1)
    assert narrow.high - narrow.low < 0.6 * (wide.high - wide.low)


def test_nothing_to_resample_has_no_width() -> None:
    got = bootstrap_interval([2.0] * 40, np.random.default_rng(0))
    assert (got.low, got.value, got.high) == (2.0, 2.0, 2.0)


def test_pairs_in_clusters() -> None:
    groups = [0, 0, 1, 1]
    got = paired_difference(candidate=[2.0, 3.0, 4.0, 6.0], baseline=[1.0, 1.0, 1.0, 1.0], clusters=groups)
    assert got.value == 2.75
    assert got.high - got.value == pytest.approx(12.706204736 * 1.25, rel=1e-9)  # t of one degree; means 1.5 and 4


def test_clusters_are_checked() -> None:
    with pytest.raises(ValueError, match="3 values came with 2 clusters"):
        mean_interval([1.0, 2.0, 3.0], clusters=[0, 1])
    with pytest.raises(ValueError, match="at least 2 clusters"):
        mean_interval([1.0, 2.0, 3.0], clusters=[4, 4, 4])
    with pytest.raises(ValueError, match="at least 2 clusters"):
        bootstrap_interval([1.0, 2.0], np.random.default_rng(0), clusters=[0, 0])


def test_inception_score_closed_forms() -> None:
    sure = np.tile(np.eye(5), (4, 1))
    assert inception_pseudo_values(divergences(sure)).mean() == pytest.approx(5.0)  # all classes, each certain
    assert inception_pseudo_values(divergences(np.full((20, 5), 0.2))).mean() == pytest.approx(1.0)  # no class at all
    assert inception_pseudo_values(divergences(sure[::5])).mean() == pytest.approx(1.0)  # one class only
    assert inception_interval(divergences(sure)).value == pytest.approx(5.0)


def test_inception_influence_is_the_derivative() -> None:
    """A share of weight moved to image 0 changes the logarithm of the score by its divergence less the mean."""
    rng = np.random.default_rng(0)
    rows = rng.dirichlet([0.3] * 6, size=30)

    def log_score(weight: float) -> float:
        weights = np.full(30, (1 - weight) / 30)
        weights[0] += weight
        mean = weights @ rows
        return float(weights @ (rows * np.log(rows / mean)).sum(axis=1))

    slope = (log_score(1e-6) - log_score(-1e-6)) / 2e-6
    found = divergences(rows)
    assert found[0] - found.mean() == pytest.approx(slope, rel=1e-5)


def test_logits_are_no_probabilities() -> None:
    with pytest.raises(ValueError, match="softmax"):
        divergences(np.random.default_rng(0).normal(size=(5, 3)))


@pytest.mark.parametrize("metric", [FrechetShapes, KernelShapes, ClipShapes])
def test_several_images_of_a_prompt_widen_the_interval_of_its_score(metric: type[Metric]) -> None:
    """Four copies are worth no more than one; taken for independent they halve the interval."""
    images = shapes(30).repeat_interleave(4, dim=0)
    alone = feed(metric(context()), images).compute()
    together = metric(replace(context(), images_per_prompt=4))
    together.update(MetricBatch(images, images_of(prompts(30), 4), None))
    found = together.compute()
    widths = [item.ci_high - item.ci_low for item in (found, alone)]
    assert widths[0] > 1.5 * widths[1]
