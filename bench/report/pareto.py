"""The Pareto front of quality against cost."""

from __future__ import annotations

from collections.abc import Sequence


def pareto_front(cost: Sequence[float], quality: Sequence[float], *, higher_is_better: bool) -> list[bool]:
    """Which points no other point dominates: none is at least as cheap and as good, and better in one of the two."""
    sign = 1.0 if higher_is_better else -1.0
    points = [(c, sign * q) for c, q in zip(cost, quality, strict=True)]
    return [not any(_dominates(other, point) for other in points) for point in points]


def _dominates(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] <= other[0] and one[1] >= other[1] and one != other
