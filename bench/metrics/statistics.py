"""Intervals for the numbers of a record: means, shares and paired differences, in float64.

Each interval says what it covers, and a test shows that it does. No function reads or moves a global random state: what
is random takes a `numpy.random.Generator`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from bench.clusters import RESAMPLES, clustered

Array = NDArray[np.float64]

CONFIDENCE = 0.95
"""Of every interval in a record."""


@dataclass(frozen=True)
class Estimate:
    """A value and the ends of its interval, in the unit of the data; `n` is how many observations it rests on."""

    value: float
    low: float
    high: float
    n: int

    def scaled(self, factor: float) -> Estimate:
        """The same estimate in another unit (`factor` > 0)."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor, self.n)

    def at_least(self, bound: float) -> Estimate:
        """For a quantity that cannot be below `bound`: value and interval cut off there."""
        return Estimate(max(self.value, bound), max(self.low, bound), max(self.high, bound), self.n)


def mean_interval(values: ArrayLike, confidence: float = CONFIDENCE, *, clusters: ArrayLike | None = None) -> Estimate:
    """The mean of observations with Student's t interval, which covers their expected value.

    Args:
        values: (n,) finite numbers, n of at least 2.
        confidence: the share of repetitions in which the interval shall cover, in (0, 1).
        clusters: (n,) the prompt of each observation, where prompts have several, which are then not independent; None
            where each observation is.

    Raises:
        ValueError: for fewer than 2 values or clusters, or a value that is not finite.
    """
    data = _observations(values, at_least=2)
    groups = clustered(data, clusters)
    if len(groups.sums) < 2:
        raise ValueError("needs at least 2 clusters, not 1")
    half = _student(confidence, len(groups.sums) - 1) * groups.standard_error
    mean = float(data.mean())
    return Estimate(mean, mean - half, mean + half, data.size)


def bootstrap_interval(
    values: ArrayLike,
    rng: np.random.Generator,
    *,
    clusters: ArrayLike | None = None,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Estimate:
    """The mean with the bias-corrected and accelerated bootstrap interval (SciPy's), over prompts drawn anew.

    It follows skewed data where Student's t does not. It is for means over images only: a distance between sets is no
    mean, and resampling re-biases it.

    Args:
        values: (n,) finite numbers, n of at least 2.
        rng: draws the resamples; the same state gives the same interval.
        clusters: as in `mean_interval`: all images of a prompt are drawn together.
        confidence: as in `mean_interval`.
        resamples: how many bootstrap samples.

    Raises:
        ValueError: as `mean_interval`.
    """
    data = _observations(values, at_least=2)
    groups = clustered(data, clusters)
    if len(groups.sums) < 2:
        raise ValueError("needs at least 2 clusters, not 1")
    low, high = groups.bootstrap(rng, confidence, resamples)
    return Estimate(float(data.mean()), low, high, data.size)


def paired_difference(
    *,
    candidate: ArrayLike,
    baseline: ArrayLike,
    confidence: float = CONFIDENCE,
    clusters: ArrayLike | None = None,
) -> Estimate:
    """Mean of candidate minus baseline over pairs (same prompt, same seed), with Student's t interval.

    What a pair shares cancels, so this is narrower than two separate intervals would suggest wherever the pairs agree.

    Args:
        candidate: (n,) one number an image.
        baseline: (n,) the same images' numbers under the other method, in the same order.
        confidence: as in `mean_interval`.
        clusters: as in `mean_interval`.

    Raises:
        ValueError: for lengths that differ, fewer than 2 pairs, or a number that is not finite.
    """
    first, second = _observations(candidate, at_least=2), _observations(baseline, at_least=2)
    if first.size != second.size:
        raise ValueError(f"pairs need equal lengths, not {first.size} and {second.size}")
    return mean_interval(first - second, confidence, clusters=clusters)


def share_interval(successes: float, n: int, confidence: float = CONFIDENCE) -> Estimate:
    """A share with Wilson's score interval (1927), which keeps a width at 0 and 1, where the normal one has none.

    `successes` may be a multiple of one half, for comparisons in which a tie counts one half to each side. A tie makes
    the variance smaller than that of a coin, so with ties the interval is, if anything, too wide.

    Raises:
        ValueError: for n below 1 or successes outside [0, n].
    """
    if n < 1:
        raise ValueError("a share needs at least 1 observation")
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie in [0, {n}], not {successes}")
    from statsmodels.stats.proportion import proportion_confint  # takes a second to import

    share = successes / n
    low, high = proportion_confint(successes, n, alpha=1 - confidence, method="wilson")
    return Estimate(share, min(share, max(0.0, float(low))), max(share, min(1.0, float(high))), n)


def _observations(values: ArrayLike, at_least: int) -> Array:
    data = np.asarray(values, dtype=np.float64).reshape(-1)
    if data.size < at_least:
        raise ValueError(f"needs at least {at_least} values, not {data.size}")
    if not np.isfinite(data).all():
        raise ValueError("values must be finite")
    return data


def _student(confidence: float, degrees: int) -> float:
    return float(stdtrit(degrees, (1 + confidence) / 2))
