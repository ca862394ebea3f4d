"""How latency grows with the number of steps: `latency = a + b * steps`, and where two methods cross. No torch.

`a` is what every image costs (text encoders, decoder, host), `b` what a step adds. The line goes through the median
latency at each step count, weighted by 1 / median^2, since timing noise grows with the time; intervals are 95 %, by
resampling the calls at each step count. With two step counts the line goes through both points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import bootstrap

from bench.latency.summary import RESAMPLES, Array, Interval, as_array
from bench.record import Record

Calls = Mapping[int, Sequence[float]]
"""Latencies in seconds by step count."""
_SEED = 20_231_128
_SAME_STEP = "as far as these calls tell, a step costs the same in both"
_CROSS_SOMEWHERE = "each takes less time at some step count; these calls do not tell where they cross"
_SAME_IN_ALL = "as far as these calls tell, they cost the same"


@dataclass(frozen=True)
class Line:
    """`latency = intercept_s + slope_s * steps`, fitted to `steps`; `misfit` is the largest relative deviation."""

    intercept_s: Interval
    slope_s: Interval
    steps: tuple[int, ...]
    misfit: float


@dataclass(frozen=True)
class Crossing:
    """Where two lines meet: `steps` with its interval, or None with the `reason` why there is no such place.

    `cheaper_before` is 0 or 1: the method that takes less time at fewer steps than that (or at every step count).
    """

    steps: Interval | None
    cheaper_before: int | None
    reason: str = ""


def calls_by_steps(records: Sequence[Record], quantity: str = "latency_s") -> dict[int, tuple[float, ...]]:
    """Raw samples of measured records by step count."""
    found = {r.cell.num_inference_steps: r.samples.get(quantity, ()) for r in records if r.status == "ok"}
    return {steps: samples for steps, samples in sorted(found.items()) if samples}


def fit(calls: Calls) -> Line:
    """The line through the median latencies.

    Raises:
        ValueError: for fewer than two step counts, or samples that are none, not finite or not positive.
    """
    steps, samples = _checked(calls)
    intercept, slope = _line(steps, np.array([np.median(values) for values in samples]))
    medians = np.array([np.median(values) for values in samples])
    misfit = float(np.max(np.abs(intercept + slope * steps - medians) / medians))
    low, high = _interval(_draws(steps, samples))
    return Line(
        (float(intercept), low[0], high[0]), (float(slope), low[1], high[1]), tuple(int(n) for n in steps), misfit
    )


def crossing(one: Calls, other: Calls) -> Crossing:
    """Where the lines of two methods cross, by resampling both.

    Raises:
        ValueError: as `fit`.
    """
    (steps, samples), (steps_2, samples_2) = _checked(one), _checked(other)
    value = np.array(_line(steps, _medians(samples))) - np.array(_line(steps_2, _medians(samples_2)))
    draws = _draws(steps, samples) - _draws(steps_2, samples_2, seed=_SEED + 1)
    low, high = _interval(draws)
    if low[1] <= 0 <= high[1]:
        return _side_by_side(draws, np.union1d(steps, steps_2))
    meets = -value[0] / value[1]
    at_one = value[0] + value[1]
    if meets < 1:
        return Crossing(None, int(at_one > 0), "their lines do not cross at one step or more")
    points = -draws[0] / draws[1]
    return Crossing(
        (float(meets), float(np.quantile(points, 0.025)), float(np.quantile(points, 0.975))), int(value[1] < 0)
    )


def _side_by_side(draws: Array, steps: Array) -> Crossing:
    """What can be said of two lines whose slopes cannot be told apart, from their difference where it was timed.

    Intercept and slope lean on each other, so either may seem to be the same where the latencies themselves are not.
    """
    low, high = np.quantile(draws[0] + draws[1] * steps[:, None], [0.025, 0.975], axis=1)
    first, second = bool((high < 0).any()), bool((low > 0).any())
    if first and second:
        return Crossing(None, None, _CROSS_SOMEWHERE)
    if first or second:
        return Crossing(None, int(second), _SAME_STEP)
    return Crossing(None, None, _SAME_IN_ALL)


def _checked(calls: Calls) -> tuple[Array, list[Array]]:
    if len(calls) < 2:
        raise ValueError(f"a line needs two step counts or more, there is {len(calls)}")
    samples = [as_array(values) for values in calls.values()]
    if min(float(values.min()) for values in samples) <= 0:
        raise ValueError("a latency is not positive")
    return np.array(list(calls), dtype=np.float64), samples


def _medians(samples: Sequence[Array]) -> Array:
    return np.array([np.median(values) for values in samples])


def _line(steps: Array, latencies: Array) -> tuple[Array, Array]:
    """Weighted least squares over the first axis of `latencies`: intercept and slope, with its other axes."""
    n = steps.reshape(-1, *[1] * (latencies.ndim - 1))
    weights = 1 / latencies**2
    total = weights.sum(0)
    mean_n, mean_y = (weights * n).sum(0) / total, (weights * latencies).sum(0) / total
    slope = (weights * (n - mean_n) * (latencies - mean_y)).sum(0) / (weights * (n - mean_n) ** 2).sum(0)
    return mean_y - slope * mean_n, slope


def _draws(steps: Array, samples: Sequence[Array], seed: int = _SEED) -> Array:
    """(2, R): intercept and slope of the lines through resampled medians, each step count resampled by itself.

    A step count with one call has nothing to resample and stays where it is.
    """
    medians = np.empty((len(samples), RESAMPLES))
    for index, values in enumerate(samples):
        if len(values) < 2:
            medians[index] = values[0]
            continue
        found = bootstrap(
            (values,),
            np.median,
            n_resamples=RESAMPLES,
            vectorized=True,
            method="percentile",
            rng=np.random.default_rng([seed, index]),
        )
        medians[index] = found.bootstrap_distribution
    return np.stack(_line(steps, medians))


def _interval(draws: Array) -> tuple[list[float], list[float]]:
    low, high = np.quantile(draws, [0.025, 0.975], axis=-1)
    return low.tolist(), high.tolist()
