"""A legend below the panels, where there are more series than can be called by name at their points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.report.style import Look

FEW = 10
"""Points up to which each is called by its name where it lies."""

MOST_SERIES = 24
"""Series that can be told apart; of more, the best are drawn in colour."""

_ROW = 0.2  # inches of a row of the legend
_LETTER = 0.082  # inches of a letter
_SIGN = 0.55  # inches of a sign and its gaps


def legend_height(names: Sequence[str], width: float) -> float:
    """Inches that the legend of those series needs below panels of that width."""
    return _ROW * math.ceil(len(names) / _columns(names, width)) + 0.12


def write_legend(figure: Figure, look: Mapping[str, Look]) -> None:
    """Sign and name of every series, read row by row, at the foot of `figure`."""
    names = list(look)
    across = _columns(names, figure.get_figwidth())
    down = math.ceil(len(names) / across)
    by_row = [
        names[row * across + column]
        for column in range(across)
        for row in range(down)
        if row * across + column < len(names)
    ]
    handles = [_handle(name, look[name]) for name in by_row]
    figure.legend(
        handles=handles, ncols=across, loc="lower center", frameon=False, fontsize=8.5, handlelength=2.2,
        columnspacing=1.4, handletextpad=0.5, borderaxespad=0.1, labelspacing=0.35,
    )  # fmt: skip


def _columns(names: Sequence[str], width: float) -> int:
    longest = max((len(name) for name in names), default=1)
    return max(1, min(len(names), int(width / (_SIGN + _LETTER * longest))))


def _handle(name: str, look: Look) -> Line2D:
    return Line2D(
        [], [], color=look.colour, marker=look.marker, ls=look.dashes, lw=1.2, label=name, markeredgecolor="white",
        markeredgewidth=0.7, ms=6,
    )  # fmt: skip
