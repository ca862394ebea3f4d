"""The Frechet distance of two Gaussians, and what each generated image adds to it, in float64.

The distance compares generated features with a *fixed* reference. Its trace of a matrix root is a sum of roots of
eigenvalues, and those of C C_w are the eigenvalues of the symmetric F' C_w F for any F with C = F F'. So a triangular
factor and one symmetric eigenvalue problem are enough: no square root of a matrix, and none that turns complex. F is
Cholesky's factor of whichever covariance has the lower rank, or the rows themselves where there are fewer rows than
dimensions, which makes the problem as small as the number of images. A zero eigenvalue comes back as about 1e-16 of the
largest and its root as 1e-8; where this would show, the singular values of F' F_w are taken instead, which carry no
such root and are slower.

Sources: Heusel et al. 2017, arXiv 1706.08500, equation 6 (Frechet distance of Gaussians, after Dowson and Landau 1982);
Efron 1982, chapter 6 (the delta method by influence functions); Chong and Forsyth 2020, arXiv 1911.07023 (the limit of
infinitely many images).

    paper                           here
    m, C; m_w, C_w                  generated.mean, .covariance; reference.mean, .covariance
    Tr (C C_w)^(1/2)                root_overlap: sum of the square roots of the eigenvalues of F' C_w F
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import eigh, eigvalsh, svdvals
from scipy.linalg.lapack import dsygst

from bench.metrics.moments import Factor, Gaussian, gaussian, gaussian_of
from bench.metrics.rows import Features, as_rows
from bench.metrics.statistics import CONFIDENCE, Array, Estimate, mean_interval

NOISE = 8 * np.finfo(np.float64).eps
"""How far LAPACK's symmetric eigenvalues are off, as a share of the largest: some units of rounding."""

TOLERATED = 1e-8
"""The most that this noise may add to a distance by the eigenvalues, as a share of both traces of the covariances."""


def frechet_distance(*, generated: Gaussian, reference: Gaussian) -> float:
    """|m - m_w|^2 + Tr(C + C_w - 2 (C C_w)^(1/2)), equation 6 of arXiv 1706.08500."""
    shift = generated.mean - reference.mean
    overlap = root_overlap(generated, reference)
    return max(0.0, float(shift @ shift) + generated.trace + reference.trace - 2 * overlap)


def root_overlap(one: Gaussian, other: Gaussian) -> float:
    """Tr (C_one C_other)^(1/2), the same for both orders."""
    for small, large in _orders(one, other):
        values = eigvalsh(_product(small, large), overwrite_a=True, check_finite=False)
        values = values[len(values) - small.most_rank :]  # centred rows have one direction less than there are rows
        noise = NOISE * values.max(initial=0.0)
        off = np.minimum(np.sqrt(noise), noise / np.sqrt(values.clip(min=noise))).sum() if noise > 0 else 0.0
        if off <= TOLERATED * (one.trace + other.trace):
            return float(np.sqrt(values.clip(min=0)).sum())
    return float(svdvals(_rows(one) @ _rows(other).T, overwrite_a=True, check_finite=False).sum())


def frechet_pseudo_values(features: Features, *, reference: Gaussian) -> Array:
    """(N,): one number a generated image; their mean is the Frechet distance, their spread gives its interval.

    The distance plus its first-order influence function at each image x:

        2 (m - m_w).(x - m) + (x - m)' (I - T) (x - m), centred
        T = F_w (F_w' C F_w)^(-1/2) F_w',  C_w = F_w F_w'

    I - T is the derivative of the distance by C; T is the linear map that transports one Gaussian onto the other.

    Directions without variance (there are some where N <= D) add nothing to T.

    Args:
        features: (N, D) of the generated images.
        reference: statistics of the reference features.
    """
    rows = as_rows(features)
    generated = gaussian(rows)
    shift, transport = generated.mean - reference.mean, _transport(generated, reference)
    blocks = rows.centred(generated.mean).blocks(len(rows) if generated.thin is not None else None)
    influence = np.concatenate([2 * x @ shift + (x**2).sum(axis=1) - transport(x) for x in blocks])
    pseudo: Array = frechet_distance(generated=generated, reference=reference) + influence - influence.mean()
    return pseudo


def frechet_interval(
    pseudo_values: Array, confidence: float = CONFIDENCE, clusters: ArrayLike | None = None
) -> Estimate:
    """The Frechet distance and its interval: the delta method on the scale of its square root.

    The distance is a square, so where it is small it is skewed and its spread grows with its root; on the root's scale
    the interval stays right for longer. It is up to 1.5 times too wide where the sets are alike in many directions, and
    covers about 90 % instead of 95 % where they are alike and one direction carries the spread. A percentile bootstrap
    does not work here: resampling adds the 1/n bias a second time, so its interval lies above the distance.

    Args:
        pseudo_values: of `frechet_pseudo_values`.
        confidence: the share of repetitions in which the interval shall cover.
        clusters: the prompt of each image, where prompts have several.
    """
    plain = mean_interval(pseudo_values, confidence, clusters=clusters)
    if plain.value <= 0:
        return plain.at_least(0.0)
    root, half = math.sqrt(plain.value), (plain.high - plain.value) / (2 * math.sqrt(plain.value))
    return Estimate(plain.value, max(0.0, root - half) ** 2, (root + half) ** 2, plain.n)


def frechet_infinity(features: Features, *, reference: Gaussian, rng: np.random.Generator, splits: int = 8) -> float:
    """FD-infinity: the Frechet distance extrapolated to infinitely many generated images; may be below zero.

    The bias of a distance at n images is b / n to first order, so that of two halves is 2 b / n each, and twice the
    distance of all less the mean distance of halves is free of it. This is the line through (1 / n, FD) of Chong and
    Forsyth with its two ends, each split into halves giving the far end twice. What is left falls as 1 / n^2: it shows
    where n is not many times the number of dimensions. The reference stays as it is, with its own count.

    Args:
        features: (N, D) of the generated images, N of at least 4.
        reference: statistics of the reference features.
        rng: draws the halves; the same state gives the same value.
        splits: how many times the images are split into halves. It costs about twice as many evaluations.

    Raises:
        ValueError: for fewer than 4 rows.
    """
    rows = as_rows(features)
    n = len(rows)
    if n < 4:
        raise ValueError(f"FD-infinity needs at least 4 rows of features, not {n}")
    orders = [rng.permutation(n) for _ in range(splits)]
    parts = [part for order in orders for part in (order[: n // 2], order[n // 2 : 2 * (n // 2)])]
    halves = [frechet_distance(generated=gaussian_of(rows, part), reference=reference) for part in parts]
    whole = frechet_distance(generated=gaussian(rows), reference=reference)
    far = 1 / (n // 2) - 1 / n
    return float(whole - (np.mean(halves) - whole) / far / n)


def _orders(one: Gaussian, other: Gaussian) -> Iterator[tuple[Gaussian, Gaussian]]:
    """Whose factor F to take, the cheapest first: the fewer rows, or `other`; then the one of the lower rank."""
    with_rows = [side for side in (one, other) if side.thin is not None]
    first = min(with_rows, key=lambda side: side.most_rank) if with_rows else other
    yield first, one if first is other else other
    second = min((one, other), key=lambda side: side.most_rank)
    if second is not first:
        yield second, one if second is other else other


def _product(small: Gaussian, large: Gaussian) -> Array:
    """The symmetric F' C F with F of `small` and C of `large`; of a triangular F only the lower triangle is right."""
    if small.thin is not None:
        sides = small.thin @ large.thin.T if large.thin is not None else small.thin @ large.factor.unordered
        product: Array = sides @ sides.T
        return product
    return _sandwiched(small.factor, large.covariance)


def _sandwiched(factor: Factor, covariance: Array) -> Array:
    """lower' C lower; by LAPACK's `sygst`, lower triangle only, where the factor is square."""
    ordered = covariance.take(factor.order, axis=0).take(factor.order, axis=1).T  # symmetric; Fortran's order
    if factor.rank < len(ordered):
        narrow: Array = factor.lower.T @ ordered @ factor.lower
        return narrow
    product, info = dsygst(ordered, factor.lower, itype=2, lower=1, overwrite_a=1)
    assert info == 0
    full: Array = product
    return full


def _rows(side: Gaussian) -> Array:
    """A (R, D) with C = A' A."""
    return side.factor.unordered.T if side.thin is None else side.thin


def _transport(generated: Gaussian, reference: Gaussian) -> Callable[[Array], Array]:
    """Gives (B,), x' T x for each of some centred rows (B, D); of all rows at once where they are fewer than D.

    With the rows A of `generated`, A T A' is the symmetric root of A C_w A', so N images need no D x D problem.
    """
    if generated.thin is not None:
        values, vectors = eigh(_product(generated, reference), overwrite_a=True, check_finite=False)
        own: Array = (generated.n - 1) * (vectors**2 @ np.sqrt(values.clip(min=0)))
        return lambda _all: own
    factor = reference.factor
    values, vectors = eigh(_sandwiched(factor, generated.covariance), overwrite_a=True, check_finite=False)
    kept = values > values.max(initial=0.0) * len(values) * np.finfo(np.float64).eps
    directions, weights = factor.unordered @ vectors[:, kept], 1 / np.sqrt(values[kept])

    def transported(centred: Array) -> Array:
        scores = centred @ directions
        scores *= scores
        through: Array = scores @ weights
        return through

    return transported
