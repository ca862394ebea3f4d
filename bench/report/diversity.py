"""Diversity against fidelity: how much the images of one prompt differ, beside how well the whole set fits.

A generator can fit the distribution of images and still draw each prompt alike every time. Diversity takes several
images a prompt and stands in a group of its own; the distance is that of the same method and steps in the largest group
of the suite, with one image a prompt.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from bench.record import Quantity, Record
from bench.report.display import Display, digits_of, display, interval, number
from bench.report.frame import Group, label
from bench.report.labels import Label, place_labels
from bench.report.sections import DataTable, Figure, Material, Section, Value
from bench.report.style import drawing, encode, looks, new_figure

DIVERSITY = ("diversity", "lpips")
FIDELITY = ("fd-shapes", "fid", "fd-dinov2")


@dataclass(frozen=True)
class Pair:
    """A method at a step count: how it scores on both."""

    record: Record
    fidelity_record: Record
    diversity: Quantity
    fidelity: Quantity


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
        blocks += [Figure(stem, alt), DataTable(_frame(found), f"{group.key.title}: {alt} Intervals are 95 %.")]
    if not blocks:
        return None
    lead = "How much the images of one prompt differ from each other, beside how well the whole set fits the real one."
    return Section("diversity", "Diversity against fidelity", lead, tuple(blocks), files)


def pairs(group: Group, groups: Sequence[Group]) -> list[Pair]:
    """The cells of `group` that measured diversity, each with the distance of the same method and steps."""
    found = []
    for record in group.measured:
        spread = _first(record, DIVERSITY)
        same = _same(record, groups)
        distance = None if same is None else _first(same, FIDELITY)
        if spread is not None and same is not None and distance is not None:
            found.append(Pair(record, same, spread, distance))
    return found


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


def _first(record: Record, names: Sequence[str]) -> Quantity | None:
    return next((found for name in names if (found := record.quantity(name)) is not None), None)


def _draw(found: Sequence[Pair]) -> dict[str, bytes]:
    with drawing():
        figure = new_figure(5.6, 3.8)
        axes = figure.add_axes((0.13, 0.13, 0.85, 0.82))
        axes.set_xlabel(display(found[0].fidelity).header)
        axes.set_ylabel(display(found[0].diversity).header)
        look = looks(label(item.record.cell) for item in found)
        labels, obstacles = [], []
        for item in found:
            style = look[label(item.record.cell)]
            axes.errorbar(
                item.fidelity.value, item.diversity.value, xerr=_spread(item.fidelity), yerr=_spread(item.diversity),
                color=style.colour, marker=style.marker, ms=7, capsize=2, elinewidth=1, markeredgecolor="white",
                markeredgewidth=0.7,
            )  # fmt: skip
            text = f"{label(item.record.cell)} · {item.record.cell.num_inference_steps}"
            labels.append(Label(text, item.fidelity.value, item.diversity.value, style.ink))
            obstacles.append((item.fidelity.value, item.diversity.value))
        axes.margins(0.16)
        place_labels(axes, labels, obstacles, join=True)
        return encode(figure)


def _spread(quantity: Quantity) -> list[list[float]]:
    return [[max(0.0, quantity.value - quantity.ci_low)], [max(0.0, quantity.ci_high - quantity.value)]]


def _frame(found: Sequence[Pair]) -> pd.DataFrame:
    heads = ["Method", "Steps", display(found[0].diversity).header, display(found[0].fidelity).header]
    rows = [
        [*_name(item.record), _value(item.diversity, item.record), _value(item.fidelity, item.fidelity_record)]
        for item in found
    ]
    return pd.DataFrame(rows, columns=heads, dtype=object)


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
    return text.getvalue().encode("utf-8")
