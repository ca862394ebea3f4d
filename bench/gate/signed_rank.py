"""Wilcoxon's signed-rank test for pairs, the estimate that belongs to it (Hodges and Lehmann 1963) and its interval.

Within a pair the order of the two sides is drawn at random, so where they are alike each difference is as likely to be
positive as negative, whatever drifts or spikes the machine has: the test is a permutation test of exactly that, and
exact in small samples. It is the paired form of the Mann-Whitney test; the unpaired form would take drift for noise.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata

from bench.gate.arrays import Array

_EXACT = 64
"""Most differences for which the distribution of the rank sum is counted out."""


def p_above(differences: Array, bound: float) -> float:
    """One-sided p-value of "the centre of the differences is at most `bound`".

    Exact up to 64 differences without ties, by the normal approximation with the correction for ties beyond. A
    difference of exactly `bound` counts half to each side.
    """
    shifted = np.asarray(differences, dtype=np.float64) - bound
    if len(shifted) == 0 or not shifted.any():
        return 1.0
    sizes = np.abs(shifted)
    ranks = rankdata(sizes)
    total = float(ranks[shifted > 0].sum() + ranks[shifted == 0].sum() / 2)
    n = len(shifted)
    if n <= _EXACT and len(np.unique(sizes)) == n and shifted.all():
        return float(_upper_tails(n)[round(total)])
    spread = math.sqrt(float((ranks**2).sum()) / 4)
    return float(ndtr(-(total - n * (n + 1) / 4 - 0.5) / spread))


@cache
def _upper_tails(n: int) -> Array:
    """P(rank sum >= w) for w = 0 .. n (n + 1) / 2, each sign being as likely as the other."""
    counts = np.zeros(n * (n + 1) // 2 + 1)
    counts[0] = 1.0
    for rank in range(1, n + 1):
        counts[rank:] = counts[rank:] / 2 + counts[:-rank] / 2
        counts[:rank] /= 2
    tails: Array = np.cumsum(counts[::-1])[::-1]
    return tails


def centre(differences: Array, confidence: float = 0.95) -> tuple[float, float, float]:
    """The median of the means of all pairs of differences, and the ends of its interval.

    The interval is between two of these means, by the normal approximation of the rank sum; their range where there
    are too few differences.

    Raises:
        ValueError: for no differences.
    """
    data = np.asarray(differences, dtype=np.float64)
    n = len(data)
    if n == 0:
        raise ValueError("the centre of no differences")
    rows, columns = np.triu_indices(n)
    means = np.sort((data[rows] + data[columns]) / 2)
    z = float(ndtri((1 + confidence) / 2))
    rank = math.floor(n * (n + 1) / 4 - z * math.sqrt(n * (n + 1) * (2 * n + 1) / 24))
    skipped = max(0, rank - 1)
    return float(np.median(means)), float(means[skipped]), float(means[len(means) - 1 - skipped])
