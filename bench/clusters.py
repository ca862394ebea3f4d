"""Means of observations that come in clusters: several images of one prompt are not independent, prompts are.

Both the scores of one cell and the differences between two rest on this; it imports neither metrics nor reports.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import bootstrap

Array = NDArray[np.float64]

RESAMPLES = 2000
_BATCH_ELEMENTS = 2**21
"""Elements of the matrices of resamples that are held at once: 16 MiB."""


@dataclass(frozen=True)
class Clustered:
    """Sums and counts of the observations of each cluster, (G,) each."""

    sums: Array
    counts: Array

    @property
    def mean(self) -> float:
        """Over all observations."""
        return float(self.sums.sum() / self.counts.sum())

    @property
    def standard_error(self) -> float:
        """Of the mean, with clusters as what is drawn independently; NaN for one cluster."""
        groups = len(self.sums)
        residuals = self.sums - self.mean * self.counts
        if groups < 2:
            return math.nan
        return float(math.sqrt(groups / (groups - 1) * (residuals**2).sum()) / self.counts.sum())

    def bootstrap(
        self, rng: np.random.Generator, confidence: float = 0.95, resamples: int = RESAMPLES
    ) -> tuple[float, float]:
        """Ends of the bias-corrected and accelerated bootstrap interval of the mean, over clusters drawn anew.

        Where all clusters have the same mean there is nothing to resample, and both ends are that mean.
        """
        if not self.standard_error > 1e-14 * abs(self.mean):
            return self.mean, self.mean
        found = bootstrap(
            (self.sums, self.counts),
            _ratio,
            paired=True,
            vectorized=True,
            confidence_level=confidence,
            n_resamples=resamples,
            batch=max(1, _BATCH_ELEMENTS // len(self.sums)),
            method="BCa",
            rng=rng,
        ).confidence_interval
        return float(found.low), float(found.high)


def clustered(values: ArrayLike, clusters: ArrayLike | None = None) -> Clustered:
    """Values (n,) by cluster, in the order of the clusters' numbers; each its own where `clusters` is None.

    Raises:
        ValueError: where there is not one cluster a value.
    """
    data = np.asarray(values, dtype=np.float64).reshape(-1)
    if clusters is None:
        return Clustered(data, np.ones(len(data)))
    groups = np.asarray(clusters).reshape(-1)
    if len(groups) != len(data):
        raise ValueError(f"{len(data)} values came with {len(groups)} clusters")
    _, places, counts = np.unique(groups, return_inverse=True, return_counts=True)
    sums = np.asarray(np.bincount(places, weights=data), dtype=np.float64)
    return Clustered(sums, counts.astype(np.float64))


def _ratio(sums: Array, counts: Array, axis: int) -> Array:
    ratio: Array = sums.sum(axis=axis) / counts.sum(axis=axis)
    return ratio
