"""Kernel distances (KID, CMMD) and what each generated image adds to them, in float64 and in tiles of bounded size.

Sources: Gretton et al. 2012, JMLR 13, lemma 6 (unbiased estimator) and equation 5 (biased one); Miller 1974 (jackknife
of U-statistics); Binkowski et al. 2018, arXiv 1801.01401, section 4 (KID); Jayasumana et al. 2024, arXiv 2401.09603,
section 4 (CMMD).

    paper                           here
    k(x, y) = (x.y / d + 1)^3       polynomial_kernel
    k(x, y) = exp(-|x-y|^2 / 2s^2)  GaussianKernel(sigma=s)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from bench.metrics.rows import Features, Rows, as_rows
from bench.metrics.statistics import Array

BLOCK = 1024
"""Rows of a tile of a kernel matrix."""

TILE = 8192
"""Columns of a tile: 64 MiB, and about three of them are held at once."""

CMMD_SIGMA = 10.0
CMMD_SCALE = 1000.0

Kernel = Callable[[Array, Array], Array]
"""All pairs: (N, D), (M, D) -> (N, M)."""


def polynomial_kernel(first: Array, second: Array) -> Array:
    """(x.y / D + 1)^3 for all pairs: (N, D), (M, D) -> (N, M); section 4 of arXiv 1801.01401."""
    base = first @ second.T
    base /= first.shape[1]
    base += 1
    cube: Array = base * base
    cube *= base
    return cube


@dataclass(frozen=True)
class GaussianKernel:
    """exp(-|x - y|^2 / (2 sigma^2)) for all pairs: (N, D), (M, D) -> (N, M)."""

    sigma: float

    def __call__(self, first: Array, second: Array) -> Array:
        powers = first @ second.T
        powers *= 2
        powers -= (first * first).sum(axis=1)[:, None]
        powers -= (second * second).sum(axis=1)
        powers /= 2 * self.sigma**2
        np.minimum(powers, 0, out=powers)
        np.exp(powers, out=powers)
        return powers


def mean_self_kernel(features: Features, kernel: Kernel = polynomial_kernel, *, biased: bool = False) -> float:
    """The mean of k(x_i, x_j) over all i != j of (N, D), or over all i and j where `biased`.

    Raises:
        ValueError: for fewer than 2 rows.
    """
    rows = as_rows(features)
    if len(rows) < 2:
        raise ValueError(f"a kernel distance needs at least 2 rows of features, not {len(rows)}")
    sums, own = _self_sums(rows, kernel)
    pairs = len(rows) * (len(rows) - 1)
    return float((sums.sum() + own.sum()) / len(rows) ** 2 if biased else sums.sum() / pairs)


def kernel_pseudo_values(
    features: Features,
    *,
    reference: Features,
    reference_self: float,
    kernel: Kernel = polynomial_kernel,
    biased: bool = False,
) -> Array:
    """(N,): one number a generated image; their mean is the squared MMD over all pairs, no subsets drawn.

    Exact delete-one jackknife pseudo-values of the unbiased estimator of Gretton et al., lemma 6, with the reference
    fixed. With a_i = mean over j != i of k(x_i, x_j), U = mean a_i and c_i = mean over the reference of k(x_i, y):

        (2 (N - 1) a_i - N U) / (N - 2) - 2 c_i + reference_self

    The biased estimator counts k(x_i, x_i) in too; what this adds is the same for every image but for a share of 1/N,
    so it is added to each.

    Where both sets follow the same distribution, the jackknife's variance is too large by a factor of about two, so the
    interval is wider than it need be there. The unbiased distance may be below zero.

    Args:
        features: (N, D) of the generated images, N of at least 3.
        reference: (M, D).
        reference_self: `mean_self_kernel(reference)` of the same kernel and bias, computed once for many cells.
        kernel: of both sets.
        biased: whether the mean is the biased estimator.

    Raises:
        ValueError: for fewer than 3 rows, or rows that are not finite.
    """
    rows, target = as_rows(features), as_rows(reference)
    n = len(rows)
    if n < 3:
        raise ValueError(f"a kernel distance with its interval needs at least 3 rows of features, not {n}")
    sums, diagonal = _self_sums(rows, kernel)
    own = sums / (n - 1)
    pseudo: Array = (2 * (n - 1) * own - n * own.mean()) / (n - 2) - 2 * _cross_means(rows, target, kernel)
    pseudo += reference_self
    return pseudo + (diagonal.mean() - own.mean()) / n if biased else pseudo


def cmmd_pseudo_values(features: Features, *, reference: Features) -> Array:
    """(N,): their mean is CMMD, the biased squared MMD of embeddings of unit length, sigma 10, times 1000.

    Args:
        features: (N, D) embeddings of the generated images, of any length but zero.
        reference: (M, D), likewise.
    """
    kernel = GaussianKernel(CMMD_SIGMA)
    target = unit_rows(reference)
    own = mean_self_kernel(target, kernel, biased=True)
    return CMMD_SCALE * kernel_pseudo_values(
        unit_rows(features), reference=target, reference_self=own, kernel=kernel, biased=True
    )


def unit_rows(features: Features) -> Rows:
    """The same rows with Euclidean length 1; reading one of length zero, which has no direction, is a ValueError."""
    return as_rows(features).scaled_to_unit()


def spans(n: int, size: int, start: int = 0) -> Iterator[slice]:
    """Slices of `size` that cover `start`..`n`."""
    for first in range(start, n, size):
        yield slice(first, min(first + size, n))


def _self_sums(rows: Rows, kernel: Kernel) -> tuple[Array, Array]:
    """Sum over j != i of k(x_i, x_j), and k(x_i, x_i): (N,) each. Each pair is computed once."""
    sums, diagonal = np.zeros(len(rows)), np.empty(len(rows))
    for block in spans(len(rows), BLOCK):
        here = rows[block]
        within = kernel(here, here)
        diagonal[block] = within.diagonal()
        sums[block] += within.sum(axis=1) - diagonal[block]
        for other in spans(len(rows), TILE, start=block.stop):
            beside = kernel(here, rows[other])
            sums[block] += beside.sum(axis=1)
            sums[other] += beside.sum(axis=0)
    return sums, diagonal


def _cross_means(rows: Rows, target: Rows, kernel: Kernel) -> Array:
    """Mean over y of k(x_i, y): (N,)."""
    sums = np.zeros(len(rows))
    for block in spans(len(rows), BLOCK):
        here = rows[block]
        for other in spans(len(target), TILE):
            sums[block] += kernel(here, target[other]).sum(axis=1)
    means: Array = sums / len(target)
    return means
