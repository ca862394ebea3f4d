"""Quality against latency in words: which method to take for which time, and what a step costs each.

The first table is the Pareto front as a list: from each latency on, the method that gives the best score for that time.
The second is the line `latency = fixed + a step x steps` of each method (`bench.latency.scaling`), and the number of
steps at which it takes as long as the teacher does.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from bench.latency.scaling import Line, calls_by_steps, fit
from bench.record import Record
from bench.report.display import Display, columns, digits_of, interval, number
from bench.report.figures import COST, Point, front, points
from bench.report.frame import Group, label
from bench.report.sections import DataTable, Material, Section, Value
from bench.report.style import TEACHERS

MOST_METHODS = 40
"""From more than that, only those on a Pareto front have their steps' cost told."""
LEFT_OUT = ("kid-shapes",)  # says the same as the Frechet distance
_MS = 1e3


@dataclass(frozen=True)
class Cost:
    """What a method's steps cost, and the steps at which it takes as long as the teacher does; None where never."""

    name: str
    line: Line
    as_teacher: float | None


def crossovers(material: Material) -> Section | None:
    """The section; None where no group has two cells with a latency."""
    blocks, files = [], {}
    for group in material.groups:
        fronts, costs = fronts_of(group), costs_of(group)
        if fronts:
            blocks.append(
                DataTable(_front_frame(fronts), f"{group.key.title}: from this latency on, the best there is.")
            )
            files[f"tables/pareto-{group.slug}.csv"] = _front_csv(fronts)
        if costs:
            caption = f"{group.key.title}: what an image costs whatever the steps, and what each step adds."
            blocks.append(DataTable(_cost_frame(costs, _teacher(group)), caption))
            files[f"tables/latency-lines-{group.slug}.csv"] = _cost_csv(costs)
    if not blocks:
        return None
    lead = (
        "Where one method takes over from another as more time is allowed, by each score: the Pareto front as a list. "
        "Then the cost of a step, from the line through each method's latencies."
    )
    return Section("crossovers", "Which method for which latency", lead, tuple(blocks), files)


def fronts_of(group: Group) -> list[tuple[Display, Point]]:
    """(score, point) along the Pareto front of each score, the cheapest first."""
    shown = columns(group.measured)
    cost = next((item for item in shown if item.name == COST), None)
    if cost is None:
        return []
    quality = [item for item in shown if item.kind == "quality" and item.name not in LEFT_OUT]
    return [(item, point) for item in quality for point in front(points(group.measured, item, cost), item)]


def costs_of(group: Group) -> list[Cost]:
    """The line of each method that was timed at two step counts, the cheapest step first."""
    by_name: dict[str, list[Record]] = {}
    for record in group.measured:
        by_name.setdefault(label(record.cell), []).append(record)
    calls = {name: found for name, records in by_name.items() if len(found := calls_by_steps(records)) > 1}
    teacher = _teacher(group)
    quantity = None if teacher is None else teacher.quantity(COST)
    if len(calls) > MOST_METHODS:  # a table that nobody reads, and a line takes a while to fit
        kept = {point.name for _, point in fronts_of(group)}
        calls = {name: found for name, found in calls.items() if name in kept}
    lines = {name: fit(found) for name, found in calls.items()}
    costs = [Cost(name, line, _as(line, None if quantity is None else quantity.value)) for name, line in lines.items()]
    return sorted(costs, key=lambda item: (item.line.slope_s[0], item.name))


def _as(line: Line, seconds: float | None) -> float | None:
    if seconds is None or line.slope_s[0] <= 0 or seconds <= line.intercept_s[0]:
        return None
    return (seconds - line.intercept_s[0]) / line.slope_s[0]


def _teacher(group: Group) -> Record | None:
    """The teacher at its most steps, with the first of its samplers that was timed."""
    for name in TEACHERS:
        own = [item for item in group.measured if label(item.cell) == name and item.quantity(COST) is not None]
        if own:
            return max(own, key=lambda item: item.cell.num_inference_steps)
    return None


def _front_frame(fronts: Sequence[tuple[Display, Point]]) -> pd.DataFrame:
    rows = [
        [column.header, number(point.cost, digits_of((point.cost_high - point.cost_low) / 2)), label(point.record.cell),
         point.steps, _value(column, point)]
        for column, point in fronts
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["Score", "From (ms)", "Method", "Steps", "Value"], dtype=object)


def _value(column: Display, point: Point) -> Value:
    places = digits_of((point.high - point.low) / 2)
    quantity = point.record.quantity(column.name)
    assert quantity is not None
    ends = interval(quantity, column, places) or ""
    return Value(number(point.value, places), ends, point.value, point.record.cell.name)


def _cost_frame(costs: Sequence[Cost], teacher: Record | None) -> pd.DataFrame:
    what = "the teacher" if teacher is None else f"{label(teacher.cell)} at {teacher.cell.num_inference_steps}"
    heads = ["Method", "Fixed (ms)", "A step (ms)", f"Steps that take as long as {what}", "Fitted to steps"]
    rows = [
        [item.name, _ms(item.line.intercept_s), _ms(item.line.slope_s),
         None if item.as_teacher is None else round(item.as_teacher, 1), ", ".join(map(str, item.line.steps))]
        for item in costs
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=heads, dtype=object)


def _ms(found: tuple[float, float, float]) -> Value:
    value, low, high = (part * _MS for part in found)
    places = digits_of((high - low) / 2)
    return Value(number(value, places), f"[{number(low, places)}, {number(high, places)}]", value)


def _front_csv(fronts: Sequence[tuple[Display, Point]]) -> bytes:
    heads = ["quantity", "from_latency_s", "method", "num_inference_steps", "value", "ci_low", "ci_high", "record"]
    rows = [
        [column.name, f"{point.cost / _MS:.6g}", label(point.record.cell), point.steps,
         *(f"{value / column.factor:.6g}" for value in (point.value, point.low, point.high)), point.record.cell.name]
        for column, point in fronts
    ]  # fmt: skip
    return _csv(heads, rows)


def _cost_csv(costs: Sequence[Cost]) -> bytes:
    names = ("fixed_s", "step_s")
    heads = ["method", *(f"{name}{end}" for name in names for end in ("", "_ci_low", "_ci_high")), "steps_as_teacher"]
    rows = [
        [item.name, *(f"{value:.6g}" for part in (item.line.intercept_s, item.line.slope_s) for value in part),
         "" if item.as_teacher is None else f"{item.as_teacher:.4g}"]
        for item in costs
    ]  # fmt: skip
    return _csv(heads, rows)


def _csv(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8")
