"""Precision, recall, density and coverage: by definition, by expectation, in tiles, and image by image."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from scipy.spatial.distance import cdist

import bench.metrics.balls as balls
import bench.metrics.neighbours as module
from bench.metrics.neighbours import Overlap, nearest, overlap
from bench.metrics.reference import Reference
from bench.metrics.statistics import Array


def sets(n: int = 50, m: int = 70, width: int = 4, shift: float = 0.6) -> tuple[Array, Array]:
    rng = np.random.default_rng(n + m)
    return 0.8 * rng.normal(size=(n, width)) + shift, rng.normal(size=(m, width))


def values(found: Overlap) -> tuple[float, float, float, float]:
    return tuple(float(part.mean()) for part in (found.precision, found.recall, found.density, found.coverage))


def by_definition(generated: Array, reference: Array, k: int) -> tuple[float, float, float, float]:
    """Equations 1 and 2 of arXiv 1904.06991 and 4 and 5 of arXiv 2002.09797, with the whole matrix."""
    radii = [np.sort(cdist(rows, rows), axis=1)[:, k] for rows in (generated, reference)]
    between = cdist(reference, generated)
    in_reference, in_generated = between <= radii[1][:, None], between <= radii[0]
    density = in_reference.sum(axis=0).mean() / k
    return in_reference.any(0).mean(), in_generated.any(1).mean(), density, in_reference.any(1).mean()


@pytest.mark.parametrize("k", [1, 3, 5])
def test_values_are_those_of_the_definition(k: int) -> None:
    generated, reference = sets()
    expected = by_definition(generated, reference, k)
    assert values(overlap(generated, reference=reference, neighbours=k)) == pytest.approx(expected, abs=1e-12)
    swapped = values(overlap(reference, reference=generated, neighbours=k))
    assert swapped[:2] == pytest.approx(expected[1::-1], abs=1e-12)  # precision and recall trade places
    assert swapped[0] != pytest.approx(swapped[1], abs=0.01)


def test_tiles_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    generated, reference = sets()
    whole = overlap(generated, reference=reference, neighbours=3)
    monkeypatch.setattr(module, "BLOCK", 16)
    monkeypatch.setattr(module, "TILE", 9)
    monkeypatch.setattr(balls, "_BATCH_ELEMENTS", 2000)
    tiled = overlap(generated, reference=reference, neighbours=3)
    for name in ("precision", "recall", "density", "coverage"):
        np.testing.assert_allclose(getattr(tiled, name), getattr(whole, name), atol=1e-12)


def test_a_shared_reference_gives_the_same() -> None:
    generated, reference = sets()
    shared = Reference(reference)
    assert values(shared.overlap(generated, 5)) == values(overlap(generated, reference=reference, neighbours=5))
    assert shared.neighbours(5) is shared.neighbours(5)


def test_memory_is_that_of_a_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    """2,000 x 2,000 distances are 32 MB in float64; tiles of 64 x 512 and the lists of neighbours are far less."""
    monkeypatch.setattr(module, "BLOCK", 64)
    monkeypatch.setattr(module, "TILE", 512)
    monkeypatch.setattr(balls, "_BATCH_ELEMENTS", 2**17)
    generated, reference = sets(2000, 2000, 3)
    tracemalloc.start()
    overlap(generated, reference=reference, neighbours=3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12e6


def test_what_is_expected_of_the_same_distribution() -> None:
    """Density 1; coverage 1 - prod (m - i) / (m + n - i), i = 1..k (Naeem et al., lemma 2), whatever the distribution.

    The radius of a reference image reaches its k-th of m - 1 others; none of n generated ones is nearer where the k
    nearest of all m - 1 + n are references.
    """
    rng, n, m, k = np.random.default_rng(0), 60, 80, 3
    found = []
    for _ in range(60):
        both = np.exp(rng.normal(size=(n + m, 3)))
        found.append(values(overlap(both[:n], reference=both[n:], neighbours=k))[2:])
    density, coverage = np.array(found).T
    missed = math.prod((m - i) / (m + n - i) for i in range(1, k + 1))
    error = 3.5 / math.sqrt(60)
    assert density.mean() == pytest.approx(1.0, abs=error * density.std())
    assert coverage.mean() == pytest.approx(1 - missed, abs=error * coverage.std())
    assert error * coverage.std() < 0.03


@pytest.mark.parametrize("k", [1, 3])
def test_pseudo_values_follow_what_is_lost_without_each_image(k: int) -> None:
    """By leaving each image out for real: the same effects, drawn together by one factor of at most 1."""
    generated, reference = sets(40, 60, 3)
    found = overlap(generated, reference=reference, neighbours=k)
    without = np.array([by_definition(np.delete(generated, i, axis=0), reference, k) for i in range(40)])
    radii = np.sort(cdist(reference, reference), axis=1)[:, k]
    fixed = np.array(
        [(cdist(reference, np.delete(generated, i, axis=0)) <= radii[:, None]).any(1).mean() for i in range(40)]
    )
    for numbers, left in ((found.recall, without[:, 1]), (found.coverage, fixed)):
        exact = -(40 - 1) * (left - left.mean())
        effects = numbers - numbers.mean()
        factor = effects.std() / exact.std()
        assert 0.2 < factor <= 1 + 1e-9
        np.testing.assert_allclose(effects, factor * exact, atol=1e-9)


def test_one_image_over_and_over() -> None:
    """Mode collapse on a real image: precise, and it recalls and covers next to nothing."""
    _, reference = sets()
    same = np.repeat(reference[:1], 30, axis=0)
    precision, recall, _, coverage = values(overlap(same, reference=reference, neighbours=3))
    assert precision == 1.0
    assert recall == pytest.approx(1 / 70)  # the image itself
    assert coverage < 0.2


def test_the_same_set_and_a_far_one() -> None:
    _, reference = sets()
    assert values(overlap(reference, reference=reference, neighbours=3))[:2] == pytest.approx((1.0, 1.0))
    assert values(overlap(reference + 1e3, reference=reference, neighbours=3)) == (0.0, 0.0, 0.0, 0.0)


def test_an_offset_of_a_million_changes_nothing() -> None:
    generated, reference = sets()
    expected = values(overlap(generated, reference=reference, neighbours=3))
    assert values(overlap(generated + 1e6, reference=reference + 1e6, neighbours=3)) == pytest.approx(expected)


def test_bad_sets_raise() -> None:
    generated, reference = sets()
    with pytest.raises(ValueError, match="at least 7 rows"):
        overlap(generated[:6], reference=reference, neighbours=5)
    with pytest.raises(ValueError, match="finite"):
        overlap(np.where(generated > 0, np.nan, generated), reference=reference, neighbours=3)
    with pytest.raises(TypeError):
        overlap(generated, reference)  # type: ignore[misc]
    with pytest.raises(ValueError, match="neighbours"):
        nearest(generated, 0)


@pytest.mark.slow
def test_fifty_thousand_against_fifty_thousand() -> None:
    """A matrix of all pairs would be 20 GB."""
    generated, reference = sets(50_000, 50_000, 8)
    tracemalloc.start()
    found = overlap(generated, reference=reference, neighbours=5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5e9
    assert 0 < found.recall.mean() < 1
