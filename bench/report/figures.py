"""Charts of a group: quality against steps, and quality against latency with the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.report.display import Display, columns
from bench.report.frame import Group
from bench.report.labels import Label, place_labels
from bench.report.latency_figure import draw_latency
from bench.report.legend import MOST_SERIES, legend_height, write_legend
from bench.report.points import COST, Point, front, leading, points
from bench.report.scales import along, dodged, set_limits
from bench.report.style import FAINT, TEACHERS, Look, drawing, encode, looks, new_figure

__all__ = ["COST", "Point", "figures", "front", "points"]

_PANELS_LEFT_OUT = ("kid-shapes",)  # says the same as the Frechet distance and stays in the tables
_NAMED_AT_LINES = 4  # series up to which each is called by its name at its end


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
            made |= _files(f"quality-latency-{group.slug}", draw_latency(group, quality[:1], cost))
            if len(quality) > 1:
                made |= _files(f"quality-latency-all-{group.slug}", draw_latency(group, quality, cost))
    return made


# Quality against steps


def _draw_steps(group: Group, quality: Sequence[Display]) -> dict[str, bytes]:
    found = [points(group.measured, column) for column in quality]
    names = leading(found[0], quality[0], MOST_SERIES)
    look = looks(names)
    few = len(names) <= _NAMED_AT_LINES
    steps = sorted({record.cell.num_inference_steps for record in group.measured})
    across = min(2, len(quality))
    down = math.ceil(len(quality) / across)
    width, panels = 4.1 * across, 2.9 * down
    below = 0.0 if few else legend_height(names, width)
    height = panels + below
    figure = new_figure(width, height)
    for place, column in enumerate(quality):
        axes = figure.add_subplot(down, across, place + 1)
        _frame_steps(axes, column, steps, room=0.36 if few else 0.06)
        figure.subplots_adjust(
            left=0.6 / width, right=1 - 0.1 / width, wspace=0.18, bottom=(0.5 + below) / height, top=1 - 0.3 / height,
            hspace=0.36,
        )  # fmt: skip
        _panel_steps(axes, column, [point for point in found[place] if point.name in look], look, few)
    if not few:
        write_legend(figure, look)
    return encode(figure)


def _frame_steps(axes: Axes, column: Display, steps: Sequence[int], room: float) -> None:
    axes.set_title(column.header)
    axes.set_xlabel("steps (log scale)")
    axes.xaxis.set_major_locator(FixedLocator([math.log2(count) for count in steps]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{round(2**value)}"))
    first, last = math.log2(steps[0]), math.log2(steps[-1])
    axes.set_xlim(first - 0.35, last + max(0.35, room * max(last - first, 1.0)))


def _panel_steps(axes: Axes, column: Display, found: Sequence[Point], look: Mapping[str, Look], few: bool) -> None:
    if not found:
        return
    set_limits(axes, found, column)
    reference = _steps_reference(axes, column, found)
    low, high = axes.get_xlim()
    at = dodged(((point.name, point.steps) for point in found), min(0.028, 0.09 / max(1, len(look))) * (high - low))
    labels = []
    obstacles = [] if reference is None else along([low, high], [reference, reference], 60)
    for name in sorted({point.name for point in found}):
        line = sorted((point for point in found if point.name == name), key=lambda point: point.steps)
        x = [at[name, point.steps] for point in line]
        _error_bars(axes, x, line, look[name])
        labels.append(Label(name, x[-1], line[-1].value, look[name].ink))
        obstacles += along(x, [point.value for point in line], log=axes.get_yscale() == "log")
        for place, point in zip(x, line, strict=True):
            obstacles += along([place, place], [point.low, point.high])
    if few:
        place_labels(axes, labels, obstacles)


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


def _files(stem: str, encoded: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{stem}.{kind}": data for kind, data in encoded.items()}
