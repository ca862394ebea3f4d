"""The Frechet distance where covariances are singular: exact, by rank, and alike whichever way it is computed.

Sets that lie in a few dimensions, turned into many, have the same distance there as before: an exact answer for
singular covariances, and for fewer images than dimensions.
"""

from __future__ import annotations

import numpy as np
import pytest

import bench.metrics.frechet_distance as module
from bench.metrics.distances import (
    Gaussian,
    Moments,
    frechet_distance,
    frechet_infinity,
    frechet_pseudo_values,
    gaussian,
)
from bench.metrics.statistics import Array

EXACT = 1e-9
"""Rounding of a few thousand float64 operations, relative to the distance; the root of float64's precision is 1e-8."""


def sets(n: int, m: int, width: int, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(width, width)) * np.arange(1, width + 1) ** -0.7
    return rng.normal(size=(n, width)) @ mixing + 0.2, np.maximum(rng.normal(size=(m, width)) @ mixing, 0)


def rotation(width: int, into: int) -> Array:
    """(width, into) with orthonormal rows."""
    return np.linalg.qr(np.random.default_rng(5).normal(size=(into, width)))[0].T


def streamed(rows: Array) -> Gaussian:
    """The covariance itself, even where the rows would be kept in its place."""
    return Moments().add(rows).gaussian()


def distance(first: Gaussian, second: Gaussian) -> float:
    return frechet_distance(generated=first, reference=second)


@pytest.mark.parametrize(("n", "m"), [(40, 300), (300, 40), (40, 50), (300, 300)])
@pytest.mark.parametrize("way", [gaussian, streamed], ids=["rows", "covariance"])
def test_singular_sets_have_the_distance_of_their_own_dimensions(n: int, m: int, way: object) -> None:
    """12 dimensions inside 64: with 40 and 300 images, by rows and by covariance."""
    first, second = sets(n, m, 12)
    expected = distance(gaussian(first), gaussian(second))
    turn = rotation(12, 64)
    got = distance(way(first @ turn), way(second @ turn))  # type: ignore[operator]
    assert got == pytest.approx(expected, rel=EXACT)


def test_what_the_singular_values_are_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: eigenvalues alone carry the root of the rounding in every direction without variance."""
    first, second = sets(200, 200, 60)
    first[:, 35:], second[:, :25] = 0.0, 0.0  # ranks 35 and 35 that share 10 directions
    one, other = streamed(first @ rotation(60, 200)), streamed(second @ rotation(60, 200))
    found = {}
    for tolerated in (0.0, module.TOLERATED, 1.0):  # always singular values, as it is, never
        monkeypatch.setattr(module, "TOLERATED", tolerated)
        found[tolerated] = distance(one, other)
        if tolerated == 0.0:
            expected = distance(gaussian(first), gaussian(second))
    always, as_is, never = (abs(value - expected) for value in found.values())
    assert always < 1e-12 * expected
    assert as_is <= 1e-8 * (one.trace + other.trace)
    assert never > 30 * always


def test_fewer_images_than_dimensions_on_either_side() -> None:
    few, many = sets(30, 200, 48)
    assert gaussian(few).thin is not None
    forward = distance(gaussian(few), gaussian(many))
    assert forward == pytest.approx(distance(gaussian(many), gaussian(few)), rel=EXACT)
    assert forward == pytest.approx(distance(streamed(few), streamed(many)), rel=EXACT)
    product = np.cov(few, rowvar=False) @ np.cov(many, rowvar=False)
    overlap = np.sqrt(np.sort(np.linalg.eigvals(product).real)[-29:]).sum()  # 29 directions have variance in both
    expected = ((few.mean(0) - many.mean(0)) ** 2).sum() + gaussian(few).trace + gaussian(many).trace - 2 * overlap
    assert forward == pytest.approx(expected, rel=1e-9)


def test_duplicates_and_dead_features() -> None:
    first, second = sets(60, 200, 24)
    twice = np.concatenate([first[:10]] * 3)  # 9 directions from 30 rows
    first[:, 3] = second[:, 7] = 0.0
    for rows in (twice, first):
        assert distance(gaussian(rows), gaussian(second)) == pytest.approx(
            distance(streamed(rows), streamed(second)), rel=EXACT
        )
    same = np.ones((5, 24))
    expected = ((1 - second.mean(0)) ** 2).sum() + gaussian(second).trace
    assert distance(gaussian(same), gaussian(second)) == pytest.approx(expected, rel=EXACT)


def test_pseudo_values_by_rows_and_by_covariance_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = sets(30, 200, 48)
    reference = gaussian(many)
    by_rows = frechet_pseudo_values(few, reference=reference)
    monkeypatch.setattr(module, "gaussian", streamed)
    by_covariance = frechet_pseudo_values(few, reference=reference)
    np.testing.assert_allclose(by_rows, by_covariance, rtol=1e-6)
    assert by_rows.mean() == pytest.approx(distance(gaussian(few), reference), rel=EXACT)


def test_a_factor_knows_its_rank() -> None:
    first, _ = sets(300, 10, 12)
    one = streamed(first @ rotation(12, 30))
    assert one.factor.rank == 12
    np.testing.assert_allclose(one.factor.unordered @ one.factor.unordered.T, one.covariance, atol=1e-12)
    with pytest.raises(ValueError, match="covariance or centred rows"):
        Gaussian(np.zeros(2), None, 5)


def test_infinity_is_the_line_through_halves() -> None:
    """Where the distance is exactly linear in 1 / n there is nothing left of the bias: one direction, means only."""
    rng = np.random.default_rng(3)
    reference = Gaussian(np.zeros(1), np.zeros((1, 1)), 10**9)  # the distance is mean^2 + unbiased variance
    values = [frechet_infinity(rng.normal(1.0, 1.0, (20, 1)), reference=reference, rng=rng) for _ in range(400)]
    assert np.mean(values) == pytest.approx(2.0, abs=3.5 * np.std(values) / 20)
    with pytest.raises(ValueError, match="at least 4"):
        frechet_infinity(np.zeros((3, 1)), reference=reference, rng=rng)


def test_infinity_depends_on_its_generator_alone() -> None:
    first, second = sets(60, 200, 6)
    one, other = (frechet_infinity(first, reference=gaussian(second), rng=np.random.default_rng(0)) for _ in range(2))
    assert one == other
