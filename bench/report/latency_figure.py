"""Quality against latency: every cell, the Pareto front, and names that do not cover each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from bench.report.display import Display
from bench.report.frame import Group
from bench.report.labels import Label, place_labels
from bench.report.legend import FEW, MOST_SERIES, legend_height, write_legend
from bench.report.points import Point, front, leading, points
from bench.report.scales import along, log_cost, set_limits
from bench.report.style import FAINT, INK, Look, encode, further_samplers, looks, new_figure

_MANY_POINTS = 48  # from which only those on the front are labelled, and points are small and without intervals
_REST = Look("#c3c9d0", "o", "")


def draw_latency(group: Group, quality: Sequence[Display], cost: Display) -> dict[str, bytes]:
    """A panel for each score; with few cells each is called by its name, with many a legend names the series."""
    across = min(2, len(quality))
    down = math.ceil(len(quality) / across)
    found = [points(group.measured, column, cost) for column in quality]
    names = leading(found[0], quality[0], MOST_SERIES)
    look = looks(names)
    few = max(map(len, found)) <= FEW
    width, panels = (5.5, 3.8) if across == 1 else (4.4 * across, 3.4 * down)
    below = 0.0 if few else legend_height(names, width)
    height = panels + below
    figure = new_figure(width, height)
    for place, column in enumerate(quality):
        axes = figure.add_subplot(down, across, place + 1)
        figure.subplots_adjust(
            left=0.65 / width, right=1 - 0.12 / width, wspace=0.17, bottom=(0.5 + below) / height,
            top=1 - 0.34 / height, hspace=0.34,
        )  # fmt: skip
        _panel(axes, column, cost, found[place], look, few)
    if not few:
        write_legend(figure, look)
    return encode(figure)


def _panel(
    axes: Axes, column: Display, cost: Display, found: Sequence[Point], look: Mapping[str, Look], few: bool
) -> None:
    axes.set_title(column.header)
    axes.set_xlabel(f"{cost.title} of one image ({cost.unit}, log scale) {cost.arrow}")
    if not found:
        axes.text(0.5, 0.5, "no latency was measured", transform=axes.transAxes, ha="center", color=FAINT)
        return
    log_cost(axes, found)
    set_limits(axes, found, column)
    chosen = front(found, column)
    labels, obstacles = _draw_front(axes, chosen)
    many = len(found) > _MANY_POINTS
    for name in sorted({point.name for point in found}):
        line = sorted((point for point in found if point.name == name), key=lambda point: point.steps)
        style = look.get(name, _REST)
        _series(axes, line, style, join=not few and name in look and not many, many=many)
    if many:
        obstacles += [(point.cost, point.value) for point in found]
        labels += [_label(point, look, named=True) for point in chosen[:12]]
    else:
        obstacles += [at for p in found for at in along([p.cost, p.cost], [p.low, p.high], 4)]
        alike = () if few else further_samplers({point.name for point in found})  # the first one's numbers are theirs
        labels += [_label(point, look, named=few) for point in found if point.name not in alike]
    place_labels(axes, labels, obstacles, join=few)


def _label(point: Point, look: Mapping[str, Look], *, named: bool) -> Label:
    text = f"{point.name} · {point.steps}" if named else f"{point.steps}"
    return Label(text, point.cost, point.value, look.get(point.name, _REST).ink)


def _series(axes: Axes, line: Sequence[Point], style: Look, *, join: bool, many: bool) -> None:
    """The cells of one method; a thin line joins its numbers of steps."""
    x, y = [point.cost for point in line], [point.value for point in line]
    if many:
        axes.plot(x, y, color=style.colour, marker=style.marker, ls="", ms=3.5, zorder=3 if style is not _REST else 2)
        return
    axes.errorbar(
        x, y, color=style.colour, marker=style.marker, ms=7 if not join else 5.5, capsize=2, elinewidth=1, ls="",
        yerr=[[p.value - p.low for p in line], [p.high - p.value for p in line]],
        xerr=[[p.cost - p.cost_low for p in line], [p.cost_high - p.cost for p in line]],
        markeredgecolor="white", markeredgewidth=0.7, zorder=3,
    )  # fmt: skip
    if join:
        axes.plot(x, y, color=style.colour, ls=style.dashes, lw=0.9, alpha=0.6, zorder=2)


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
    places = [(10**log, value) for log, value in along(corners_x, corners_y, 30)]
    return [Label("Pareto front", middle, y[longest], FAINT, minor=True)], places
