"""Mean and covariance of features, in float64, and a factor of the covariance that knows its rank."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpstrf

from bench.metrics.rows import BLOCK, Features, as_rows
from bench.metrics.statistics import Array


@dataclass(frozen=True)
class Factor:
    """A triangular factor of a covariance C: `C[order][:, order] = lower @ lower.T` with `lower` (D, rank).

    Where `lower` is square its upper triangle holds anything: LAPACK looks at the lower one alone.
    """

    lower: Array
    order: np.ndarray

    @property
    def rank(self) -> int:
        """How many directions have variance beyond rounding."""
        return int(self.lower.shape[1])

    @cached_property
    def unordered(self) -> Array:
        """(D, rank): F with C = F F', in the order of the features."""
        rows = np.empty_like(self.lower)
        rows[self.order] = np.tril(self.lower)
        return rows


class Gaussian:
    """Mean (D,) and unbiased covariance (D, D) of `n` features.

    Args:
        mean: (D,).
        covariance: (D, D); may be left out where `thin` is given, and is then computed when somebody asks for it.
        n: how many rows of features there were.
        thin: (R, D) with `thin.T @ thin` the covariance, where there are fewer rows than dimensions: the centred rows
            divided by the root of n - 1.
    """

    def __init__(self, mean: Array, covariance: Array | None, n: int, thin: Array | None = None) -> None:
        if covariance is None and thin is None:
            raise ValueError("a Gaussian needs a covariance or centred rows")
        self.mean, self.n, self.thin = mean, n, thin
        self._covariance = covariance

    @cached_property
    def covariance(self) -> Array:
        """(D, D), unbiased."""
        if self._covariance is not None:
            return self._covariance
        assert self.thin is not None
        product: Array = self.thin.T @ self.thin
        return product

    @cached_property
    def trace(self) -> float:
        """The sum of the variances."""
        return float(np.trace(self.covariance)) if self.thin is None else float((self.thin**2).sum())

    @cached_property
    def factor(self) -> Factor:
        """Cholesky's factor; where that shows that the rank is less than full, with pivoting up to the rank."""
        width = len(self.covariance)
        lower, info = dpotrf(self.covariance.T, lower=1, clean=0)  # symmetric; Fortran's order is copied faster
        rounding = width * np.finfo(np.float64).eps * self.covariance.diagonal().max()
        if info == 0 and (lower.diagonal() ** 2).min() > rounding:
            return Factor(lower, np.arange(width))
        lower, pivots, rank, info = dpstrf(self.covariance, lower=1)
        if info < 0:
            raise ValueError("the covariance cannot be factored: it must be a square matrix of finite numbers")
        return Factor(np.tril(lower)[:, : int(rank)], np.asarray(pivots, dtype=np.intp) - 1)

    @property
    def most_rank(self) -> int:
        """The rank of the covariance, or a bound for it where the rows tell without factoring."""
        return self.factor.rank if self.thin is None else min(len(self.thin) - 1, self.thin.shape[1])


class Moments:
    """Running mean and covariance in float64, a block of rows at a time.

    Blocks combine as in Chan, Golub and LeVeque 1983, without the cancellation of raw second moments.
    """

    def __init__(self) -> None:
        self.n = 0
        self._mean: Array | None = None
        self._scatter: Array | None = None

    def add(self, features: Array) -> Moments:
        """Take rows (N, D).

        Raises:
            ValueError: for a width other than before, or numbers that are not finite.
        """
        rows = checked_features(features)
        mean = rows.mean(axis=0)
        centred = rows - mean
        scatter = centred.T @ centred
        if self._mean is None or self._scatter is None:
            self.n, self._mean, self._scatter = len(rows), mean, scatter
            return self
        if len(mean) != len(self._mean):
            raise ValueError(f"features of width {len(mean)} after width {len(self._mean)}")
        total, shift = self.n + len(rows), mean - self._mean
        self._scatter = self._scatter + scatter + np.outer(shift, shift) * (self.n * len(rows) / total)
        self._mean = self._mean + shift * (len(rows) / total)
        self.n = total
        return self

    def gaussian(self) -> Gaussian:
        """The statistics of all rows so far.

        Raises:
            ValueError: for fewer than 2 rows, which have no covariance.
        """
        if self._mean is None or self._scatter is None or self.n < 2:
            raise ValueError(f"a covariance needs at least 2 rows of features, not {self.n}")
        return Gaussian(self._mean, self._scatter / (self.n - 1), self.n)


def gaussian(features: Features) -> Gaussian:
    """The statistics of rows (N, D); with N <= D the rows themselves are kept in the place of their covariance.

    Raises:
        ValueError: for fewer than 2 rows, or numbers that are not finite.
    """
    rows = as_rows(features)
    n = len(rows)
    if n < 2 or n > rows.width:
        return _gaussian_of(rows.blocks())
    whole = rows[:]
    mean = whole.mean(axis=0)
    return Gaussian(mean, None, n, (whole - mean) / np.sqrt(n - 1))


def gaussian_of(features: Features, places: NDArray[np.intp]) -> Gaussian:
    """The statistics of the rows at these places."""
    rows = as_rows(features)
    if len(places) <= rows.width:
        return gaussian(rows.take(places))
    ordered = np.sort(places)
    return _gaussian_of(rows.take(ordered[start : start + BLOCK]) for start in range(0, len(ordered), BLOCK))


def _gaussian_of(blocks: Iterable[Array]) -> Gaussian:
    moments = Moments()
    for block in blocks:
        moments.add(block)
    return moments.gaussian()


def checked_features(features: Features) -> Array:
    """float64 (N, D).

    Raises:
        ValueError: for another number of axes, no rows, or numbers that are not finite.
    """
    return as_rows(features)[:]
