"""Intervals over training seeds and images: closed forms, coverage of known answers, and what goes wrong otherwise."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import t

from bench.claims.pooled import Pooled, difference, mean, ratio
from tests.claims.make import scores

Table = NDArray[np.float64]
REPEATS = 1500
SLACK = 3 * math.sqrt(0.05 * 0.95 / REPEATS)
"""Three standard errors of a coverage of 95 % over that many repetitions."""


def coverage(make: Callable[[np.random.Generator], Pooled], truth: float) -> float:
    rng = np.random.default_rng(0)
    found = [make(rng) for _ in range(REPEATS)]
    return sum(item.low <= truth <= item.high for item in found) / REPEATS


def drawn(rng: np.random.Generator, of_seeds: float, of_images: float, level: float = 0.0) -> Table:
    by_image = of_images * rng.standard_normal(40)
    return scores(level, rng, prompts=40, of_seeds=of_seeds, of_images=by_image)


def test_the_variance_is_that_of_two_crossed_factors() -> None:
    """Balanced two-way layout, from its mean squares: (MS_seeds + MS_images) / (S n), MS_residual / (S n) too much."""
    rng = np.random.default_rng(1)
    data = scores(5.0, rng, seeds=4, prompts=30, of_seeds=2.0, of_images=3 * rng.standard_normal(30))
    rows, columns = data.mean(axis=1), data.mean(axis=0)
    ms_seeds = 30 * rows.var(ddof=1)
    ms_images = 4 * columns.var(ddof=1)
    variance = (ms_seeds + ms_images) / 120
    found = mean(data)
    assert found.value == pytest.approx(data.mean())
    assert found.high - found.value == pytest.approx(t.ppf(0.975, found.degrees) * math.sqrt(variance))


def test_degrees_of_freedom_are_of_what_the_spread_comes_from() -> None:
    rng = np.random.default_rng(2)
    seeds = mean(scores(0.0, rng, of_seeds=50.0, of_both=0.01))
    images = mean(scores(0.0, rng, of_seeds=0.0, of_images=50 * rng.standard_normal(100), of_both=0.01))
    assert seeds.degrees == pytest.approx(2, rel=1e-3)
    assert images.degrees == pytest.approx(99, rel=1e-3)


@pytest.mark.parametrize(("of_seeds", "of_images"), [(1.0, 0.2), (0.2, 2.0), (0.6, 2.0), (0.0, 0.0)])
def test_a_mean_is_covered_whichever_factor_varies(of_seeds: float, of_images: float) -> None:
    """At most a little under 95 %: Satterthwaite's degrees of freedom are themselves estimated from three seeds."""
    found = coverage(lambda rng: mean(drawn(rng, of_seeds, of_images)), 0.0)
    assert found >= 0.95 - SLACK - 0.02


@pytest.mark.parametrize(("one", "other"), [(0.5, 0.5), (1.0, 0.0), (0.05, 0.05)])
def test_a_difference_is_covered_over_shared_images(one: float, other: float) -> None:
    def made(rng: np.random.Generator) -> Pooled:
        by_image = 3 * rng.standard_normal(40)
        sides = [scores(1.0, rng, prompts=40, of_seeds=spread, of_images=by_image) for spread in (one, other)]
        return difference(*sides)

    assert coverage(made, 0.0) >= 0.95 - SLACK - 0.02


def sharing(rng: np.random.Generator, own: float) -> tuple[Table, Table]:
    """Two sides of one mean whose seeds have an effect in common, of 2, and one of their own."""
    in_common = 2 * rng.standard_normal((3, 1)) + 3 * rng.standard_normal(40)
    one, other = (in_common + scores(1.0, rng, prompts=40, of_seeds=own) for _ in range(2))
    return one, other


@pytest.mark.parametrize("own", [0.0, 0.3, 2.0])
def test_a_difference_over_seeds_in_common_is_covered_whatever_they_share(own: float) -> None:
    found = coverage(lambda rng: difference(*sharing(rng, own), same_seeds=True), 0.0)
    assert found >= 0.95 - SLACK - 0.02


def test_what_seeds_share_cancels_where_it_is_said_that_they_do() -> None:
    one, other = sharing(np.random.default_rng(4), 0.01)
    together, apart = (difference(one, other, same_seeds=same) for same in (True, False))
    assert together.value == apart.value
    assert apart.high - apart.low > 5 * (together.high - together.low)
    shifted = [side + 50 for side in (one, other)]
    of_means = [ratio(*shifted, same_seeds=same) for same in (True, False)]
    assert of_means[1].high - of_means[1].low > 5 * (of_means[0].high - of_means[0].low)
    with pytest.raises(ValueError, match="need as many"):
        difference(one, other[:2], same_seeds=True)


def test_images_alone_do_not_cover_what_seeds_change() -> None:
    """Negative control: the interval of a single training, over images, is no interval of the method."""
    found = coverage(lambda rng: mean(drawn(rng, 1.0, 1.0)[:1], fixed=True), 0.0)
    assert found < 0.5


def test_seeds_alone_do_not_cover_what_images_change() -> None:
    """Negative control: Student's t over the seeds' means, which have all images in common."""

    def made(rng: np.random.Generator) -> Pooled:
        means = drawn(rng, 0.05, 3.0).mean(axis=1)
        half = t.ppf(0.975, 2) * means.std(ddof=1) / math.sqrt(3)
        return Pooled(means.mean(), means.mean() - half, means.mean() + half, 2)

    assert coverage(made, 0.0) < 0.8


def test_what_images_share_cancels_in_a_difference() -> None:
    rng = np.random.default_rng(3)
    by_image = 20 * rng.standard_normal(100)
    one, other = (scores(level, rng, of_seeds=0.01, of_images=by_image) for level in (1.0, 0.0))
    paired = difference(one, other)
    assert 0.5 < paired.low < paired.high < 1.5
    shuffled = difference(one, other[:, rng.permutation(100)])
    assert shuffled.high - shuffled.low > 5 * (paired.high - paired.low)


def test_a_teacher_is_one_draw_by_its_nature() -> None:
    rng = np.random.default_rng(4)
    student, teacher = scores(1.0, rng), scores(0.0, rng, seeds=1)
    found = difference(student, teacher, fixed=(False, True))
    assert found.low < 1.0 < found.high
    with pytest.raises(ValueError, match="one training seed"):
        difference(student, teacher)


def test_a_ratio_has_no_unit_and_its_interval_is_of_the_logarithm() -> None:
    rng = np.random.default_rng(5)
    one, other = scores(30.0, rng), scores(10.0, rng)
    found = ratio(one, other)
    assert found.value == pytest.approx(one.mean() / other.mean())
    assert math.log(found.high / found.value) == pytest.approx(math.log(found.value / found.low))
    assert ratio(7 * one, 7 * other).low == pytest.approx(found.low)
    assert ratio(other, one).high == pytest.approx(1 / found.low)


def test_a_ratio_is_covered() -> None:
    def made(rng: np.random.Generator) -> Pooled:
        return ratio(drawn(rng, 0.8, 2.0, level=30.0), drawn(rng, 0.4, 1.0, level=10.0))

    assert coverage(made, 3.0) >= 0.95 - SLACK - 0.02


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (np.ones((3, 4)), np.ones((3, 5)), "4 and 5 prompts"),
        (np.full((3, 4), np.nan), np.ones((3, 4)), "finite"),
        (np.ones((3, 1)), np.ones((3, 1)), "at least 2 prompts"),
    ],
)
def test_what_cannot_be_compared_is_refused(one: Table, other: Table, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        difference(one, other)


def test_a_ratio_to_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="positive means"):
        ratio(np.ones((3, 4)), np.zeros((3, 4)))


def test_where_nothing_varies_the_interval_is_the_value() -> None:
    assert mean(np.full((3, 4), 2.0)) == Pooled(2.0, 2.0, 2.0, math.inf)
