"""Axes of charts: limits, logarithmic scales, ticks that people would choose."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from bench.report.display import Display, number
from bench.report.points import Point

_LOG_FROM = 15  # largest over smallest value from which a distance is drawn on a log scale


def set_limits(axes: Axes, found: Sequence[Point], column: Display) -> None:
    """Room for intervals and labels; a share in per cent stays within 0 and 100."""
    low, high = min(point.low for point in found), max(point.high for point in found)
    if not column.higher_is_better and low > 0 and high / low > _LOG_FROM:
        _set_log_limits(axes, low, high, column)
        return
    span = (high - low) or abs(high) or 1.0
    low, high = low - 0.14 * span, high + 0.14 * span
    if column.unit == "%":
        low, high = max(low, -2.0), min(high, 102.0)
    elif not column.higher_is_better and low < 0 <= min(point.low for point in found):
        low = 0.0
    axes.set_ylim(low, high)
    ticks = MaxNLocator(6, steps=[1, 2, 2.5, 5, 10])
    axes.yaxis.set_major_locator(ticks)
    places = max(_decimals(float(value)) for value in ticks.tick_values(low, high))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value, places)))


def _set_log_limits(axes: Axes, low: float, high: float, column: Display) -> None:
    """A distance that falls over more than an order of magnitude, on a scale that tells its small values apart."""
    margin = (high / low) ** 0.14
    axes.set_title(f"{column.header} (log scale)")
    axes.set_yscale("log")
    axes.set_ylim(low / margin, high * margin)
    axes.yaxis.set_major_locator(FixedLocator(log_ticks(low / margin, high * margin)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _decimals(value: float) -> int:
    """Digits that a tick needs after the point."""
    text = f"{value:.6f}".rstrip("0")
    return len(text) - text.index(".") - 1


def log_cost(axes: Axes, found: Sequence[Point]) -> None:
    """A logarithmic axis of costs with room at both sides."""
    axes.set_xscale("log")
    low = min(min(point.cost_low, point.cost) for point in found)
    high = max(max(point.cost_high, point.cost) for point in found)
    margin = max((high / low) ** 0.14, 1.25)
    axes.set_xlim(low / margin, high * margin)
    axes.xaxis.set_major_locator(FixedLocator(log_ticks(low / margin, high * margin)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten between two positive numbers; only the powers where those are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1,)):
        found = [factor * 10.0**power for power in powers for factor in factors]
        found = [value for value in found if low <= value <= high]
        if len(found) <= 9:
            break
    return found


def along(x: Sequence[float], y: Sequence[float], parts: int = 12, *, log: bool = False) -> list[tuple[float, float]]:
    """Places along the line through the points (x, y), for labels to keep clear of; straight in log y with `log`."""
    if log:
        return [(at, math.exp(value)) for at, value in along(x, [math.log(value) for value in y], parts)]
    found = [(x[0], y[0])]
    for place in range(len(x) - 1):
        for part in range(1, parts + 1):
            t = part / parts
            found.append((x[place] + t * (x[place + 1] - x[place]), y[place] + t * (y[place + 1] - y[place])))
    return found


def dodged(cells: Iterable[tuple[str, int]], gap: float) -> dict[tuple[str, int], float]:
    """(name, steps) -> log2 of the steps, names of one step count moved `gap` apart so that intervals can be seen."""
    known = sorted(cells)
    at: dict[tuple[str, int], float] = {}
    for steps in {steps for _, steps in known}:
        names = [name for name, count in known if count == steps]
        for place, name in enumerate(names):
            at[name, steps] = math.log2(steps) + gap * (place - (len(names) - 1) / 2)
    return at
