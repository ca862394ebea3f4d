"""Scores over training seeds and images: two factors that cross, each with its own spread.

A side of a comparison is a table of one number for each (training seed, prompt): every student is measured on the same
prompts. Both are drawn from many, so a mean over the table is uncertain by

    seeds            s_seeds^2 / S, the spread of the S students' means
    images           s_images^2 / n, the spread of the n prompts' means
    both at once     in both of the above, MS_residual / (S n) each

the estimate for two crossed random factors (Searle, Casella and McCulloch 1992, chapter 4), but for what it takes off:
what neither factor explains is counted twice here. From three seeds the exact estimate covers as little as 90.5 % where
95 is said, and this one 93 to 99 % (`tests/claims/test_pooled.py`).

Two methods share the prompts, so the images' part is that of the differences, prompt by prompt; they do not share
seeds, so the seeds' parts add up. Rows of an ablation share the seeds too: of a seed they see the same images under the
same noise, and begin as the same student. Their differences, seed by seed and prompt by prompt, are one table.

The interval is Student's t with Satterthwaite's degrees of freedom (1946): with three seeds a spread that comes from
seeds alone has few, and the interval is wide, as it should be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

Array = NDArray[np.float64]
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Pooled:
    """A value with its interval; `degrees` are those of Student's t, infinite where nothing varies."""

    value: float
    low: float
    high: float
    degrees: float

    def scaled(self, factor: float) -> Pooled:
        """The same in another unit, `factor` > 0."""
        return Pooled(self.value * factor, self.low * factor, self.high * factor, self.degrees)


@dataclass(frozen=True)
class _Part:
    """One source of variance of an estimate, and how many degrees of freedom it was estimated with."""

    variance: float
    degrees: int


def table(rows: ArrayLike) -> Array:
    """float64 (S, n): a row a training seed, a column a prompt.

    Raises:
        ValueError: for a number that is not finite, or fewer than two prompts.
    """
    data = np.atleast_2d(np.asarray(rows, dtype=np.float64))
    if data.ndim != 2 or data.shape[1] < 2:
        raise ValueError(f"needs a row a seed and at least 2 prompts, not {data.shape}")
    if not np.isfinite(data).all():
        raise ValueError("scores must be finite")
    return data


def mean(rows: ArrayLike, confidence: float = CONFIDENCE, *, fixed: bool = False) -> Pooled:
    """The mean of one side. `fixed` says that its one row is no draw of several, as a teacher is.

    Raises:
        ValueError: for one seed of a side that is not fixed.
    """
    data = table(rows)
    return _interval(float(data.mean()), [(data, fixed)], data.mean(axis=0), confidence)


def difference(
    one: ArrayLike,
    other: ArrayLike,
    confidence: float = CONFIDENCE,
    *,
    fixed: tuple[bool, bool] = (False, False),
    same_seeds: bool = False,
) -> Pooled:
    """The mean of `one` less that of `other`, over the same prompts in the same order.

    `same_seeds` says that row k of both belongs to one seed, which they have in common.

    Raises:
        ValueError: where the prompts are not as many, or the seeds that are the same; or where one seed stands for a
            side that is not fixed.
    """
    a, b = table(one), table(other)
    _check_alike(a, b, same_seeds)
    sides = _sides(a, b, fixed, same_seeds)
    return _interval(float(a.mean() - b.mean()), sides, a.mean(axis=0) - b.mean(axis=0), confidence)


def ratio(
    one: ArrayLike,
    other: ArrayLike,
    confidence: float = CONFIDENCE,
    *,
    fixed: tuple[bool, bool] = (False, False),
    same_seeds: bool = False,
) -> Pooled:
    """The mean of `one` over that of `other`; the interval is that of the logarithm (delta method), exponentiated.

    Raises:
        ValueError: as `difference`, and where a mean is not positive.
    """
    a, b = table(one), table(other)
    _check_alike(a, b, same_seeds)
    if a.mean() <= 0 or b.mean() <= 0:
        raise ValueError("a ratio needs positive means")
    a, b, log = a / a.mean(), b / b.mean(), math.log(a.mean() / b.mean())
    sides = _sides(a, b, fixed, same_seeds)
    found = _interval(log, sides, a.mean(axis=0) - b.mean(axis=0), confidence)
    return Pooled(math.exp(found.value), math.exp(found.low), math.exp(found.high), found.degrees)


def _sides(a: Array, b: Array, fixed: tuple[bool, bool], same_seeds: bool) -> list[tuple[Array, bool]]:
    """The tables whose seeds vary by themselves: that of the differences where both have the same."""
    return [(a - b, False)] if same_seeds else list(zip((a, b), fixed, strict=True))


def _interval(value: float, sides: list[tuple[Array, bool]], by_prompt: Array, confidence: float) -> Pooled:
    parts = [_Part(float(by_prompt.var(ddof=1)) / len(by_prompt), len(by_prompt) - 1)]
    for data, fixed in sides:
        if fixed:
            continue
        if len(data) < 2:
            raise ValueError("one training seed says nothing about others; needs at least 2")
        parts.append(_Part(float(data.mean(axis=1).var(ddof=1)) / len(data), len(data) - 1))
    total = sum(part.variance for part in parts)
    if total <= 0:
        return Pooled(value, value, value, math.inf)
    degrees = total**2 / sum(part.variance**2 / part.degrees for part in parts)
    half = float(stdtrit(degrees, (1 + confidence) / 2)) * math.sqrt(total)
    return Pooled(value, value - half, value + half, degrees)


def _check_alike(one: Array, other: Array, same_seeds: bool) -> None:
    if one.shape[1] != other.shape[1]:
        raise ValueError(f"the sides were measured on {one.shape[1]} and {other.shape[1]} prompts")
    if same_seeds and len(one) != len(other):
        raise ValueError(f"sides of the same seeds need as many of them, not {len(one)} and {len(other)}")
