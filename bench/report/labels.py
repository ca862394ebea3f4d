"""Direct labels: each name beside its point, moved aside where it would cover something."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

_SIZE = 8.5
_SHIFTS = (0.0, 9.0, -9.0, 19.0, -19.0, 29.0, -29.0, 40.0, -40.0, 52.0, -52.0, 64.0, -64.0)
_AWAY = 2.5  # pixels of cover that one point further up or down is worth
_NAMES_WEIGH = 3  # times what else a text may cover: a name that another lies on is lost
_NEAR = 9.0  # points within which two markers of one colour share a label
_FAR = 12.0  # points aside from which on a thin line leads back to the point


@dataclass(frozen=True)
class Label:
    """A text for the data point (x, y). A `minor` one gives way to all others."""

    text: str
    x: float
    y: float
    colour: str
    minor: bool = False


@dataclass(frozen=True)
class _Place:
    """Offset of the text from its point in points; `side` is 1 to the right, -1 to the left, 0 centred."""

    dx: float
    dy: float
    side: int

    def box(self, x: float, y: float, width: float, height: float, scale: float) -> Bbox:
        """Where a text of that size in pixels lies for the pixel (x, y)."""
        left = x + self.dx * scale - (0.5 - 0.5 * self.side) * width
        bottom = y + self.dy * scale - height / 2
        return Bbox.from_bounds(left, bottom, width, height)


def _places() -> tuple[_Place, ...]:
    """The nearest first: right, above, below, left; then further up and down at both sides."""
    found = []
    for dy in _SHIFTS:
        aside = 8.0 if abs(dy) < _FAR else 14.0
        found.append(_Place(aside, dy, 1))
        if 0 < abs(dy) < _FAR:
            found.append(_Place(0.0, 1.4 * dy, 0))
        found.append(_Place(-aside, dy, -1))
    return tuple(found)


_PLACES = _places()
_CENTRED = tuple(
    _Place(dx, 1.4 * dy, 0) for dy in _SHIFTS for dx in (0.0, 30.0, -30.0, 60.0, -60.0, 90.0, -90.0, 120.0, -120.0)
)


def place_labels(
    axes: Axes, labels: Sequence[Label], obstacles: Sequence[tuple[float, float]], *, join: bool = False
) -> None:
    """Write `labels` into `axes`, where all else is drawn, clear of each other and of `obstacles` (data coordinates).

    With `join`, points of one colour that all but coincide share a label of several lines.
    Greedy from the top of the picture down; each takes the place that covers little and lies near.
    """
    axes.get_xlim(), axes.get_ylim()  # settles limits that were left to what is drawn
    canvas = axes.figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
    scale = renderer.dpi / 72
    inside = axes.get_window_extent(renderer)
    taken = [_around(axes, x, y, 3.2 * scale) for x, y in obstacles]
    texts = _joined(axes, labels, _NEAR * scale) if join else labels
    for label in sorted(texts, key=lambda item: (item.minor, -item.y, item.x, item.text)):
        places = _CENTRED if label.minor else _PLACES
        text = Text(0, 0, label.text, fontsize=_SIZE, linespacing=1.05, figure=axes.figure)
        size = text.get_window_extent(renderer)
        at_x, at_y = axes.transData.transform((label.x, label.y))
        boxes = [place.box(at_x, at_y, size.width, size.height, scale) for place in places]
        away = [_AWAY * (abs(place.dy) + (abs(place.dx) if label.minor else 0.0)) for place in places]
        costs = [cost + more for cost, more in zip(_covered(boxes, taken, inside), away, strict=True)]
        chosen = costs.index(min(costs))
        _write(axes, label, places[chosen])
        taken += [boxes[chosen]] * _NAMES_WEIGH


def _joined(axes: Axes, labels: Sequence[Label], near: float) -> list[Label]:
    """Labels of one colour whose points all but coincide (nearer than `near` pixels) as one of several lines."""
    found: list[list[Label]] = []
    for label in sorted(labels, key=lambda item: (-item.y, item.x, item.text)):
        home = next((block for block in found if any(_close(axes, label, other, near) for other in block)), None)
        if home is None:
            found.append([label])
        else:
            home.append(label)
    return [
        Label("\n".join(item.text for item in block), block[0].x, fmean(item.y for item in block), *_manner(block[0]))
        for block in found
    ]


def _manner(label: Label) -> tuple[str, bool]:
    return label.colour, label.minor


def _close(axes: Axes, one: Label, other: Label, near: float) -> bool:
    if _manner(one) != _manner(other):
        return False
    return math.dist(*(axes.transData.transform((label.x, label.y)) for label in (one, other))) < near


def _write(axes: Axes, label: Label, place: _Place) -> None:
    far = abs(place.dy) > _FAR and not label.minor and "\n" not in label.text
    axes.annotate(
        label.text,
        (label.x, label.y),
        xytext=(place.dx, place.dy),
        textcoords="offset points",
        ha={1: "left", 0: "center", -1: "right"}[place.side],
        va="center",
        color=label.colour,
        fontsize=_SIZE,
        style="italic" if label.minor else "normal",
        arrowprops={"arrowstyle": "-", "color": label.colour, "lw": 0.6, "shrinkA": 1, "shrinkB": 4} if far else None,
        annotation_clip=False,
        linespacing=1.05,
        bbox={"facecolor": "white", "alpha": 0.7, "pad": 0.4, "linewidth": 0},
        zorder=5,
    )


def _around(axes: Axes, x: float, y: float, radius: float) -> Bbox:
    """A square of pixels about a data point."""
    centre_x, centre_y = axes.transData.transform((x, y))
    return Bbox.from_extents(centre_x - radius, centre_y - radius, centre_x + radius, centre_y + radius)


def _covered(boxes: Sequence[Bbox], taken: Sequence[Bbox], inside: Bbox) -> list[float]:
    """Pixels of each box that lie on something, or outside the axes."""
    ours, others = _corners(boxes), _corners([inside, *taken])
    low = np.maximum(ours[:, None, :2], others[None, :, :2])
    high = np.minimum(ours[:, None, 2:], others[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    outside = (ours[:, 2:] - ours[:, :2]).prod(axis=1) - shared[:, 0]
    found: list[float] = np.round(4 * outside + shared[:, 1:].sum(axis=1), 3).tolist()
    return found


def _corners(boxes: Sequence[Bbox]) -> NDArray[np.float64]:
    """(n, 4): x0, y0, x1, y1 of each."""
    return np.array([(box.x0, box.y0, box.x1, box.y1) for box in boxes])
