"""Diversity against fidelity: how much the images of one prompt differ, beside how well the whole set fits.

A generator can fit the distribution of images and still draw each prompt alike every time. Diversity takes several
images a prompt and stands in a group of its own; the distance is that of the same method and steps in the largest group
of the suite, with one image a prompt. How diverse a prompt can be is up to the prompt, so where the teacher is there
too, what is drawn is the difference from it over the same prompts.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from bench.record import Quantity, Record
from bench.report.best import paired_interval
from bench.report.display import Display, digits_of, display, interval, number
from bench.report.frame import Group, label, steps_text
from bench.report.labels import Label, place_labels
from bench.report.scales import along
from bench.report.sections import DataTable, Figure, Material, Section, Value
from bench.report.style import FAINT, TEACHERS, drawing, encode, looks, new_figure

DIVERSITY = ("diversity", "lpips")
FIDELITY = ("fd-shapes", "fid", "fd-dinov2")


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Pair:
    """A method at a step count: how it scores on both.

    `gain` is the mean over prompts of its diversity less the teacher's (Student's t); the teacher itself has none.
    """

    record: Record
    fidelity_record: Record
    diversity: Quantity
    fidelity: Quantity
    gain: Estimate | None = None
    is_teacher: bool = False


def diversity(material: Material) -> Section | None:
    """The section; None where no cell has both."""
    blocks: list[Figure | DataTable] = []
    files: dict[str, bytes] = {}
    for group in material.groups:
        found = pairs(group, material.groups)
        if not found:
            continue
        stem = f"diversity-fidelity-{group.slug}"
        files |= {f"figures/{stem}.{kind}": data for kind, data in _draw(found).items()}
        files[f"tables/{stem}.csv"] = _csv(found)
        alt = f"{display(found[0].diversity).title} against {display(found[0].fidelity).title}, a point a cell."
        blocks += [
            Figure(stem, alt, f"{alt}{_held_against(found)}"),
            DataTable(_frame(found), f"{group.key.title}. Intervals are 95 %."),
        ]
    if not blocks:
        return None
    lead = "How much the images of one prompt differ from each other, beside how well the whole set fits the real one."
    return Section("diversity", "Diversity against fidelity", lead, tuple(blocks), files)


def pairs(group: Group, groups: Sequence[Group]) -> list[Pair]:
    """The cells of `group` that measured diversity, each with the distance of the same method and steps."""
    found = []
    teacher = teacher_of(group)
    for record in group.measured:
        spread = _first(record, DIVERSITY)
        same = _same(record, groups)
        distance = None if same is None else _first(same, FIDELITY)
        if spread is not None and same is not None and distance is not None:
            found.append(Pair(record, same, spread, distance, _gain(record, teacher, spread.name), record is teacher))
    return found


def teacher_of(group: Group) -> Record | None:
    """The teacher at its most steps, with the first of its samplers whose diversity was measured."""
    for name in TEACHERS:
        own = [record for record in group.measured if label(record.cell) == name and _first(record, DIVERSITY)]
        if own:
            return max(own, key=lambda record: record.cell.num_inference_steps)
    return None


def _gain(record: Record, teacher: Record | None, name: str) -> Estimate | None:
    """None for the teacher itself, and where the two have no prompts to be paired by."""
    if teacher is None or record is teacher or name not in record.per_image or name not in teacher.per_image:
        return None
    ends = paired_interval(record.per_prompt(name), teacher.per_prompt(name))
    return None if ends is None else Estimate((ends[0] + ends[1]) / 2, *ends)


def _same(record: Record, groups: Sequence[Group]) -> Record | None:
    """The same method and steps in the first group of the suite that has one image a prompt and a distance."""
    for group in groups:
        if group.key.suite == record.cell.suite and group.key.images_per_prompt == 1:
            for other in group.measured:
                if _name(other) == _name(record) and _first(other, FIDELITY) is not None:
                    return other
    return None


def _name(record: Record) -> tuple[str, int]:
    return label(record.cell), record.cell.num_inference_steps


def _held_against(found: Sequence[Pair]) -> str:
    """What the caption says of the teacher, where points lie at their difference from it."""
    teacher = next((item.record.cell for item in found if item.is_teacher), None)
    if teacher is None or not any(item.gain for item in found):
        return ""
    return (
        f" Diversity is less that of {label(teacher)} at {steps_text(teacher.num_inference_steps)}, prompt by prompt."
    )


def _first(record: Record, names: Sequence[str]) -> Quantity | None:
    return next((found for name in names if (found := record.quantity(name)) is not None), None)


def _draw(found: Sequence[Pair]) -> dict[str, bytes]:
    paired = any(item.gain for item in found)
    shown = [(item, height) for item in found if (height := _height(item, paired)) is not None]
    header = display(found[0].diversity).header
    with drawing():
        figure = new_figure(6.0, 4.2)
        axes = figure.add_axes((0.13, 0.12, 0.85, 0.85))
        axes.set_xlabel(display(found[0].fidelity).header)
        axes.set_ylabel(f"{header}, less the teacher's" if paired else header)
        look = looks(label(item.record.cell) for item in found)
        labels: list[Label] = []
        obstacles: list[tuple[float, float]] = []
        if paired:
            axes.axhline(0.0, color=FAINT, lw=0.9, ls=":", zorder=1)
        for item, height in shown:
            style, across = look[label(item.record.cell)], item.fidelity
            axes.errorbar(
                across.value, height.value, color=style.colour, marker=style.marker, ms=7, capsize=2, elinewidth=0.8,
                xerr=_spread(across.value, across.ci_low, across.ci_high), markeredgecolor="white", markeredgewidth=0.7,
                yerr=_spread(height.value, height.low, height.high),
            )  # fmt: skip
            text = f"{label(item.record.cell)} · {item.record.cell.num_inference_steps}"
            labels.append(Label(text, across.value, height.value, style.ink))
            obstacles += [(across.value, height.value)] * 4  # a marker matters more than a place on its intervals
            obstacles += along([across.ci_low, across.ci_high], [height.value, height.value], 10)
            obstacles += along([across.value, across.value], [height.low, height.high], 10)
        axes.margins(0.12)
        place_labels(axes, labels, obstacles)
        return encode(figure)


def _height(item: Pair, paired: bool) -> Estimate | None:
    """Where a point lies: at its diversity or, with `paired`, at its gain, which is zero for the teacher."""
    if not paired:
        return Estimate(item.diversity.value, item.diversity.ci_low, item.diversity.ci_high)
    return item.gain or (Estimate(0.0, 0.0, 0.0) if item.is_teacher else None)


def _spread(value: float, low: float, high: float) -> list[list[float]]:
    return [[max(0.0, value - low)], [max(0.0, high - value)]]


def _frame(found: Sequence[Pair]) -> pd.DataFrame:
    heads = ["Method", "Steps", display(found[0].diversity).header, display(found[0].fidelity).header]
    rows: list[list[object]] = [
        [*_name(item.record), _value(item.diversity, item.record), _value(item.fidelity, item.fidelity_record)]
        for item in found
    ]
    if any(item.gain for item in found):
        heads.insert(3, "Less the teacher's")
        for row, item in zip(rows, found, strict=True):
            row.insert(3, _gain_value(item))
    return pd.DataFrame(rows, columns=heads, dtype=object)


def _gain_value(item: Pair) -> Value | None:
    if item.gain is None:
        return None
    column = display(item.diversity)
    low, value, high = (end * column.factor for end in (item.gain.low, item.gain.value, item.gain.high))
    places = digits_of((high - low) / 2)
    ends = f"[{number(low, places)}, {number(high, places)}]"
    return Value(number(value, places), ends, value, item.record.cell.name)


def _value(quantity: Quantity, record: Record) -> Value:
    column: Display = display(quantity)
    places = digits_of((quantity.ci_high - quantity.ci_low) / 2 * column.factor)
    value = quantity.value * column.factor
    return Value(number(value, places), interval(quantity, column, places) or "", value, record.cell.name)


def _csv(found: Sequence[Pair]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["method", "num_inference_steps", "quantity", "value", "ci_low", "ci_high", "record"])
    for item in found:
        for quantity, record in ((item.diversity, item.record), (item.fidelity, item.fidelity_record)):
            values = (f"{value:.6g}" for value in (quantity.value, quantity.ci_low, quantity.ci_high))
            writer.writerow([*_name(item.record), quantity.name, *values, record.cell.name])
        if item.gain is not None:
            values = (f"{value:.6g}" for value in (item.gain.value, item.gain.low, item.gain.high))
            writer.writerow(
                [*_name(item.record), f"{item.diversity.name}, less the teacher's", *values, item.record.cell.name]
            )
    return text.getvalue().encode("utf-8")
