"""Measured values as points of a chart, and which of them are on the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.record import Quantity, Record
from bench.report.display import Display
from bench.report.frame import label
from bench.report.pareto import pareto_front

COST = "latency_s"


@dataclass(frozen=True)
class Point:
    """A measured value in the units that are drawn, with its interval; `cost` is 0 where it is not asked for."""

    record: Record
    name: str
    steps: int
    value: float
    low: float
    high: float
    cost: float = 0.0
    cost_low: float = 0.0
    cost_high: float = 0.0


def points(records: Sequence[Record], column: Display, cost: Display | None = None) -> list[Point]:
    """Every record that has the quantity (and the cost, where one is given)."""
    found = []
    for record in records:
        quantity = record.quantity(column.name)
        price = record.quantity(cost.name) if cost is not None else None
        if quantity is None or (cost is not None and price is None):
            continue
        low, high = _shown_interval(quantity, column)
        at = (0.0, 0.0, 0.0)
        if cost is not None and price is not None:
            at = (price.value * cost.factor, *_shown_interval(price, cost))
        cell = record.cell
        value = quantity.value * column.factor
        found.append(Point(record, label(cell), cell.num_inference_steps, value, low, high, *at))
    return found


def front(found: Sequence[Point], column: Display) -> list[Point]:
    """The Pareto front of `found`, the cheapest first."""
    keep = pareto_front(
        [point.cost for point in found],
        [point.value for point in found],
        higher_is_better=column.higher_is_better,
    )
    chosen = [point for point, kept in zip(found, keep, strict=True) if kept]
    return sorted(chosen, key=lambda point: (point.cost, point.name, point.steps))


def leading(found: Sequence[Point], column: Display, most: int) -> list[str]:
    """Names of the series, sorted; of more than `most` those with the best value anywhere."""
    best: dict[str, float] = {}
    for point in found:
        value = -point.value if column.higher_is_better else point.value
        best[point.name] = min(value, best.get(point.name, value))
    return sorted(sorted(best, key=lambda name: (best[name], name))[:most])


def _shown_interval(quantity: Quantity, column: Display) -> tuple[float, float]:
    return min(quantity.ci_low, quantity.value) * column.factor, max(quantity.ci_high, quantity.value) * column.factor
