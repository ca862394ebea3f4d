"""From raw samples to values with intervals. No torch.

Intervals are 95 %, by SciPy's percentile bootstrap over the calls, with a fixed generator: the same samples give the
same interval. They speak of this process on this machine; what changes between processes is not in them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

Interval = tuple[float, float, float]
"""Value, lower end, upper end."""
Array = NDArray[np.float64]

RESAMPLES = 4_999
_SEED = 20_231_128


def quantile(samples: Sequence[float], share: float) -> Interval:
    """The `share` quantile of the samples (0.5 is the median), linear between order statistics.

    A quantile beyond 1 - 1/n is the largest sample and its interval cannot reach further, so it covers less than it
    says; `calls_for` says how many calls a quantile takes.

    Raises:
        ValueError: for no samples, a share outside 0..1, or a sample that is not finite.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"a quantile at {share}; it lies between 0 and 1")
    return resampled([samples], lambda x, axis=-1: np.quantile(x, share, axis=axis))


def calls_for(share: float) -> int:
    """Calls that it takes for five of them to lie beyond the quantile, on its thinner side."""
    return math.ceil(5 / min(share, 1 - share) - 1e-9)


def ratio_of_medians(above: Sequence[float], below: Sequence[float], factor: float = 1.0) -> Interval:
    """`factor` times the median of one set of samples over that of another; both are resampled.

    Raises:
        ValueError: for no samples or one that is not finite.
    """
    return resampled([above, below], lambda x, y, axis=-1: factor * np.median(x, axis=axis) / np.median(y, axis=axis))


def resampled(samples: Sequence[Sequence[float]], statistic: Callable[..., Any]) -> Interval:
    """`statistic(*samples, axis=)` with its percentile bootstrap interval; samples are drawn independently.

    Without two calls in each there is no interval, and its ends are the value.

    Raises:
        ValueError: for no samples or one that is not finite.
    """
    arrays = [as_array(values) for values in samples]
    value = float(statistic(*arrays, axis=-1))
    if min(len(values) for values in arrays) < 2:
        return value, value, value
    found = bootstrap(
        tuple(arrays),
        statistic,
        n_resamples=RESAMPLES,
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(_SEED),
    ).confidence_interval
    return value, float(found.low), float(found.high)


def as_array(values: Sequence[float]) -> Array:
    """float64 samples.

    Raises:
        ValueError: where there are none, or one is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        raise ValueError("no samples")
    if not np.isfinite(array).all():
        raise ValueError("a sample is not finite")
    return array
