"""Figures: quality against steps, and quality against latency with the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from bench.record import Quantity, Record
from bench.report.display import Display, columns, number
from bench.report.frame import Group, label
from bench.report.labels import Label, place_labels
from bench.report.pareto import pareto_front
from bench.report.style import FAINT, INK, TEACHERS, Look, drawing, encode, looks, new_figure

COST = "latency_s"
_PANELS_LEFT_OUT = ("kid-shapes",)  # says the same as the Frechet distance and stays in the tables
_LOG_FROM = 15  # largest over smallest value from which a distance is drawn on a log scale


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


def figures(group: Group) -> dict[str, bytes]:
    """{file name: bytes} of all charts of `group`; none where nothing was measured."""
    shown = columns(group.measured)
    quality = [item for item in shown if item.kind == "quality" and item.name not in _PANELS_LEFT_OUT]
    cost = next((item for item in shown if item.name == COST), None)
    made: dict[str, bytes] = {}
    if not quality:
        return made
    with drawing():
        made |= _files(f"quality-steps-{group.slug}", _draw_steps(group, quality))
        if cost is not None:
            made |= _files(f"quality-latency-{group.slug}", _draw_latency(group, quality[:1], cost))
            if len(quality) > 1:
                made |= _files(f"quality-latency-all-{group.slug}", _draw_latency(group, quality, cost))
    return made


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


# Quality against steps


def _draw_steps(group: Group, quality: Sequence[Display]) -> dict[str, bytes]:
    look = looks(label(record.cell) for record in group.measured)
    steps = sorted({record.cell.num_inference_steps for record in group.measured})
    across = min(2, len(quality))
    down = math.ceil(len(quality) / across)
    figure = new_figure(4.1 * across, 2.9 * down)
    for place, column in enumerate(quality):
        axes = figure.add_subplot(down, across, place + 1)
        _frame_steps(axes, column, steps)
        figure.subplots_adjust(
            left=0.6 / (4.1 * across), right=1 - 0.1 / (4.1 * across), wspace=0.18,
            bottom=0.5 / (2.9 * down), top=1 - 0.3 / (2.9 * down), hspace=0.36,
        )  # fmt: skip
        _panel_steps(axes, column, points(group.measured, column), look)
    return encode(figure)


def _frame_steps(axes: Axes, column: Display, steps: Sequence[int]) -> None:
    axes.set_title(column.header)
    axes.set_xlabel("steps (log scale)")
    axes.xaxis.set_major_locator(FixedLocator([math.log2(count) for count in steps]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{round(2**value)}"))
    first, last = math.log2(steps[0]), math.log2(steps[-1])
    axes.set_xlim(first - 0.35, last + 0.36 * max(last - first, 1.0))


def _panel_steps(axes: Axes, column: Display, found: Sequence[Point], look: dict[str, Look]) -> None:
    _set_limits(axes, found, column)
    reference = _steps_reference(axes, column, found)
    low, high = axes.get_xlim()
    at = _dodged(found, 0.028 * (high - low))
    labels = []
    obstacles = [] if reference is None else _along([low, high], [reference, reference], 60)
    for name in sorted({point.name for point in found}):
        line = sorted((point for point in found if point.name == name), key=lambda point: point.steps)
        x = [at[name, point.steps] for point in line]
        _error_bars(axes, x, line, look[name])
        labels.append(Label(name, x[-1], line[-1].value, look[name].ink))
        obstacles += _along(x, [point.value for point in line], log=axes.get_yscale() == "log")
        for place, point in zip(x, line, strict=True):
            obstacles += _along([place, place], [point.low, point.high])
    place_labels(axes, labels, obstacles)


def _dodged(found: Sequence[Point], gap: float) -> dict[tuple[str, int], float]:
    """log2 of the steps, the points of one step count moved `gap` apart so that their intervals can be seen."""
    at: dict[tuple[str, int], float] = {}
    for steps in {point.steps for point in found}:
        same = sorted((point for point in found if point.steps == steps), key=lambda point: point.name)
        for place, point in enumerate(same):
            at[point.name, steps] = math.log2(steps) + gap * (place - (len(same) - 1) / 2)
    return at


def _steps_reference(axes: Axes, column: Display, found: Sequence[Point]) -> float | None:
    """Draw what students are compared with: even odds for a preference, else the teacher's score at its most steps."""
    if column.name == "preference":
        reference, style = 50.0, "--"
    else:
        teachers = [[point for point in found if point.name == name] for name in TEACHERS]
        teacher = next((line for line in teachers if line), None)
        if teacher is None:
            return None
        reference, style = max(teacher, key=lambda point: point.steps).value, ":"
    axes.axhline(reference, color=FAINT, lw=0.9, ls=style, zorder=1)
    return reference


def _error_bars(axes: Axes, at: Sequence[float], line: Sequence[Point], look: Look) -> None:
    values = [point.value for point in line]
    spread = [[point.value - point.low for point in line], [point.high - point.value for point in line]]
    axes.errorbar(
        at, values, yerr=spread, color=look.colour, marker=look.marker, ls=look.dashes, capsize=2.5, elinewidth=1.1,
        markeredgecolor="white", markeredgewidth=0.7, zorder=3,
    )  # fmt: skip


# Quality against latency


def _draw_latency(group: Group, quality: Sequence[Display], cost: Display) -> dict[str, bytes]:
    look = looks(label(record.cell) for record in group.measured)
    across = min(2, len(quality))
    down = math.ceil(len(quality) / across)
    width, height = (5.5, 3.8) if across == 1 else (4.4 * across, 3.4 * down)
    figure = new_figure(width, height)
    for place, column in enumerate(quality):
        axes = figure.add_subplot(down, across, place + 1)
        figure.subplots_adjust(
            left=0.65 / width, right=1 - 0.12 / width, wspace=0.17, bottom=0.5 / height, top=1 - 0.34 / height,
            hspace=0.34,
        )  # fmt: skip
        _panel_latency(axes, column, cost, points(group.measured, column, cost), look)
    return encode(figure)


def _panel_latency(axes: Axes, column: Display, cost: Display, found: Sequence[Point], look: dict[str, Look]) -> None:
    axes.set_title(column.header)
    axes.set_xlabel(f"{cost.title} of one image ({cost.unit}, log scale) {cost.arrow}")
    if not found:
        axes.text(0.5, 0.5, "no latency was measured", transform=axes.transAxes, ha="center", color=FAINT)
        return
    _log_cost(axes, found)
    _set_limits(axes, found, column)
    labels, obstacles = _draw_front(axes, front(found, column))
    for point in found:
        style = look[point.name]
        axes.errorbar(
            point.cost, point.value, color=style.colour, marker=style.marker, ms=7, capsize=2, elinewidth=1,
            yerr=[[point.value - point.low], [point.high - point.value]],
            xerr=[[point.cost - point.cost_low], [point.cost_high - point.cost]],
            markeredgecolor="white", markeredgewidth=0.7, zorder=3,
        )  # fmt: skip
        obstacles += _along([point.cost, point.cost], [point.low, point.high])
    labels.extend(Label(f"{p.name} · {p.steps}", p.cost, p.value, look[p.name].ink) for p in found)
    place_labels(axes, labels, obstacles, join=True)


def _log_cost(axes: Axes, found: Sequence[Point]) -> None:
    axes.set_xscale("log")
    low = min(min(point.cost_low, point.cost) for point in found)
    high = max(max(point.cost_high, point.cost) for point in found)
    margin = max((high / low) ** 0.14, 1.25)
    axes.set_xlim(low / margin, high * margin)
    axes.xaxis.set_major_locator(FixedLocator(_ticks(low / margin, high * margin)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten between two positive numbers; only the powers where those are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1,)):
        found = [factor * 10.0**power for power in powers for factor in factors]
        found = [value for value in found if low <= value <= high]
        if len(found) <= 9:
            break
    return found


def _draw_front(axes: Axes, chosen: Sequence[Point]) -> tuple[list[Label], list[tuple[float, float]]]:
    """The front as a staircase behind the points; its label, on its longest step, and places along it."""
    right = axes.get_xlim()[1]
    x = [*(point.cost for point in chosen), right]
    y = [point.value for point in chosen]
    axes.step(x, [*y, y[-1]], where="post", color=INK, lw=1.0, alpha=0.55, zorder=2)
    logs = [math.log10(value) for value in x]
    longest = max(range(len(y)), key=lambda place: logs[place + 1] - logs[place])
    middle = 10 ** ((logs[longest] + logs[longest + 1]) / 2)
    corners_x = [value for value in logs for _ in (0, 1)][1:-1]
    corners_y = [value for value in y for _ in (0, 1)]
    places = [(10**log, value) for log, value in _along(corners_x, corners_y, 30)]
    return [Label("Pareto front", middle, y[longest], FAINT, minor=True)], places


# Shared


def _set_limits(axes: Axes, found: Sequence[Point], column: Display) -> None:
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
    axes.yaxis.set_major_locator(FixedLocator(_ticks(low / margin, high * margin)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _decimals(value: float) -> int:
    """Digits that a tick needs after the point."""
    text = f"{value:.6f}".rstrip("0")
    return len(text) - text.index(".") - 1


def _shown_interval(quantity: Quantity, column: Display) -> tuple[float, float]:
    return min(quantity.ci_low, quantity.value) * column.factor, max(quantity.ci_high, quantity.value) * column.factor


def _along(x: Sequence[float], y: Sequence[float], parts: int = 12, *, log: bool = False) -> list[tuple[float, float]]:
    """Places along the line through the points (x, y), for labels to keep clear of; straight in log y with `log`."""
    if log:
        return [(at, math.exp(value)) for at, value in _along(x, [math.log(value) for value in y], parts)]
    found = [(x[0], y[0])]
    for place in range(len(x) - 1):
        for part in range(1, parts + 1):
            t = part / parts
            found.append((x[place] + t * (x[place + 1] - x[place]), y[place] + t * (y[place + 1] - y[place])))
    return found


def _files(stem: str, encoded: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{stem}.{kind}": data for kind, data in encoded.items()}
