"""Steps against drift: how far an image moves from what the teacher makes of the same prompt and the same noise.

A distilled network need not follow its teacher image by image; a benchmark of sets does not see whether it does. The
drift of a pair is the root mean square of the differences of their pixels, in levels of 255; its mean over the stored
prompts has Student's t interval. As a scale stands the same between images of different prompts.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray
from scipy.stats import t as student_t

from bench.record import Cell
from bench.report.display import digits_of, number
from bench.report.frame import Group, label, steps_text
from bench.report.labels import Label, place_labels
from bench.report.legend import legend_height, write_legend
from bench.report.scales import dodged
from bench.report.sections import DataTable, Figure, Material, Section, Value
from bench.report.sheets import Sheet
from bench.report.style import FAINT, TEACHERS, drawing, encode, looks, new_figure

MIN_IMAGES = 4
MOST_LINES = 12  # in the figure; the table has all
MOST_NAMED = 5  # lines that are called by name at their ends; more have a legend
WIDTH, HEIGHT = 5.6, 3.8  # inches of the figure, without a legend
MOST_SHEETS = 400


@dataclass(frozen=True)
class Drift:
    """Mean drift of a cell's images from the reference's, with its 95 % interval."""

    cell: Cell
    value: float
    low: float
    high: float
    n: int


def drift(material: Material) -> Section | None:
    """The section; None where no group has the teacher's images and another method's."""
    blocks: list[Figure | DataTable] = []
    files: dict[str, bytes] = {}
    for group in material.groups:
        sheets = material.sheets.get(group.slug, ())
        reference = reference_of(sheets)
        if reference is None or reference.count < MIN_IMAGES or len(sheets) > MOST_SHEETS:
            continue
        found = drifts(sheets, reference)
        if not found:
            continue
        stem, title = f"drift-steps-{group.slug}", f"{label(reference.record.cell)} at {_steps(reference)}"
        files |= {f"figures/{stem}.{kind}": data for kind, data in _draw(found, apart(reference), title).items()}
        files[f"tables/drift-{group.slug}.csv"] = _csv(found, reference)
        blocks += [_figure(stem, title), DataTable(_frame(found), _caption(group, title, found))]
    if not blocks:
        return None
    lead = "How far images of the same prompt and the same noise move from the teacher's as steps are left out."
    return Section("drift", "Steps against drift", lead, tuple(blocks), files)


def reference_of(sheets: Sequence[Sheet]) -> Sheet | None:
    """The teacher's sheet at its most steps, with the first of its samplers that is there."""
    for name in TEACHERS:
        own = [sheet for sheet in sheets if label(sheet.record.cell) == name]
        if own:
            return max(own, key=lambda sheet: sheet.record.cell.num_inference_steps)
    return None


def drifts(sheets: Sequence[Sheet], reference: Sheet) -> list[Drift]:
    """Every other cell's drift from the reference, over the prompts that both have."""
    others = [sheet for sheet in sheets if sheet is not reference and sheet.size == reference.size]
    found = []
    for sheet in others:
        n = min(sheet.count, reference.count)
        distances = [distance(sheet.image(i), reference.image(i)) for i in range(n)]
        del sheet.pixels  # read again where it is needed; all at once would fill the memory
        found.append(Drift(sheet.record.cell, *_mean(distances), n))
    return found


def distance(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Root mean square difference of two images of one size, 0 to 255."""
    return float(np.sqrt(np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2)))


def apart(reference: Sheet) -> float:
    """The mean distance between the reference's images of different prompts: each with the next."""
    n = reference.count
    return float(np.mean([distance(reference.image(i), reference.image((i + 1) % n)) for i in range(n)]))


def _mean(values: Sequence[float]) -> tuple[float, float, float]:
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return mean, mean, mean
    half = float(student_t.ppf(0.975, n - 1)) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return mean, max(0.0, mean - half), mean + half


def _steps(sheet: Sheet) -> str:
    return steps_text(sheet.record.cell.num_inference_steps)


def _figure(stem: str, title: str) -> Figure:
    alt = f"Drift from {title} against the number of steps, a line a method, with 95 % intervals."
    return Figure(stem, alt, f"{alt} Dashed: images of different prompts.")


def _caption(group: Group, title: str, found: Sequence[Drift]) -> str:
    return f"{group.key.title}: drift from {title}, over the first {found[0].n} prompts."


def _frame(found: Sequence[Drift]) -> pd.DataFrame:
    rows = [[label(item.cell), item.cell.num_inference_steps, _value(item)] for item in found]
    return pd.DataFrame(rows, columns=["Method", "Steps", "Drift (levels of 255)"], dtype=object)


def _value(item: Drift) -> Value:
    places = digits_of((item.high - item.low) / 2)
    ends = f"[{number(item.low, places)}, {number(item.high, places)}]"
    return Value(number(item.value, places), ends, item.value, item.cell.name)


def _draw(found: Sequence[Drift], scale: float, title: str) -> dict[str, bytes]:
    look = looks(label(item.cell) for item in found)
    names = sorted(look)[:MOST_LINES]
    below = legend_height(names, WIDTH) if len(names) > MOST_NAMED else 0.0
    with drawing():
        figure = new_figure(WIDTH, HEIGHT + below)
        axes = figure.add_axes((0.12, (0.49 + below) / (HEIGHT + below), 0.86, 3.0 / (HEIGHT + below)))
        axes.set_title(f"Drift from {title}")
        axes.set_ylabel("levels of 255")
        axes.set_xlabel("steps (log scale)")
        steps = sorted({item.cell.num_inference_steps for item in found})
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator(steps))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlim(steps[0] / 1.25, steps[-1] * (1.25 if below else 1.9))
        axes.set_ylim(0, 1.12 * max(scale, *(item.high for item in found)))
        axes.axhline(scale, color=FAINT, lw=0.9, ls="--")
        labels = [Label("different prompts", steps[0] * 1.3, scale, FAINT, minor=True)]
        obstacles = []
        cells = [(label(item.cell), item.cell.num_inference_steps) for item in found]
        at = dodged((cell for cell in cells if cell[0] in names), min(0.05, 0.5 / len(names)))
        for name in names:
            line = sorted((i for i in found if label(i.cell) == name), key=lambda i: i.cell.num_inference_steps)
            x, y = [2 ** at[name, item.cell.num_inference_steps] for item in line], [item.value for item in line]
            spread = [[item.value - item.low for item in line], [item.high - item.value for item in line]]
            style = look[name]
            axes.errorbar(x, y, yerr=spread, color=style.colour, marker=style.marker, ls=style.dashes, capsize=2,
                          elinewidth=1, markeredgecolor="white", markeredgewidth=0.7)  # fmt: skip
            if not below:
                labels.append(Label(name, x[-1], y[-1], style.ink))
            obstacles += _along(x, y)
        place_labels(axes, labels, obstacles)
        if below:
            write_legend(figure, {name: look[name] for name in look if name in names})
        return encode(figure)


def _along(x: Sequence[float], y: Sequence[float], parts: int = 10) -> list[tuple[float, float]]:
    """Places along the line through the points, straight in log x, for labels to keep clear of."""
    found = [(x[-1], y[-1])]
    for (x0, y0), (x1, y1) in pairwise(zip(x, y, strict=True)):
        found += [(x0 * (x1 / x0) ** (t / parts), y0 + (y1 - y0) * t / parts) for t in range(parts)]
    return found


def _csv(found: Sequence[Drift], reference: Sheet) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["method", "num_inference_steps", "drift", "ci_low", "ci_high", "n", "record", "reference"])
    for item in found:
        values = (f"{value:.6g}" for value in (item.value, item.low, item.high))
        place = [label(item.cell), item.cell.num_inference_steps]
        writer.writerow([*place, *values, item.n, item.cell.name, reference.record.cell.name])
    return text.getvalue().encode("utf-8")
