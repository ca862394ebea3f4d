"""Names beside points: clear of each other and of the points, by the limits that the picture ends with."""

from __future__ import annotations

from itertools import combinations

import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from bench.report.labels import Label, place_labels
from bench.report.style import drawing, new_figure

POINTS = ((200, 192.0), (205, 192.5), (210, 191.5), (300, 180.0))  # far apart by the limits of empty axes, 0 to 1


@pytest.mark.parametrize("margin", [0.05, 0.4])
def test_names_do_not_cover_each_other_whatever_the_margins(margin: float) -> None:
    with drawing():
        axes = new_figure(6.0, 4.0).add_subplot()
        for x, y in POINTS:
            axes.plot(x, y, "o")
        axes.margins(margin)
        place_labels(axes, [Label(f"method {x}", x, y, "#000000") for x, y in POINTS], POINTS)
        boxes, points = _texts(axes), axes.transData.transform(POINTS)
    assert len(boxes) == len(POINTS)
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert not any(box.contains(*point) for box in boxes for point in points)


def _texts(axes: Axes) -> list[Bbox]:
    """Where the words lie, without the line that leads to a point."""
    canvas = axes.figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()
    texts = [child for child in axes.get_children() if isinstance(child, Annotation)]
    return [Bbox(super(Annotation, text).get_window_extent(canvas.get_renderer()).get_points()) for text in texts]
