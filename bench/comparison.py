"""Two methods at the same number of steps, in a sentence: what can be told apart, and what more prompts would tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.record import Quantity, Record
from bench.report.best import MIN_PAIRS, beats, paired_interval
from bench.report.differences import Difference, differences
from bench.report.display import Display, digits, number
from bench.report.frame import label, steps_text

_Z = 1.959964  # a 95 % interval is this many standard errors either side
_WORTH_SAYING = 100  # times the prompts there are; beyond that, more prompts are no advice


@dataclass(frozen=True)
class Comparison:
    """What one quantity says about `one` against `other`: `winner` is None where the intervals do not tell.

    `paired` is the comparison image by image, corrected over all quantities compared; None where there are no images.
    """

    column: Display
    one: Record
    other: Record
    winner: Record | None
    paired: Difference | None = None


def compare(one: Record, other: Record, columns: Sequence[Display]) -> list[Comparison]:
    """One comparison a column that both records have."""
    shared = [column for column in columns if one.quantity(column.name) and other.quantity(column.name)]
    paired = {item.column.name: item for item in differences([(one, other)], shared)}
    return [
        Comparison(
            column, one, other, _winner(one, other, column.name, paired.get(column.name)), paired.get(column.name)
        )
        for column in shared
    ]


def sentence(one: Record, other: Record, columns: Sequence[Display]) -> str:
    """`add at 1 step beats lcm at 1 step on FD-shapes (3.1 against 4.0); on CLIP-shapes: cannot tell (...).`"""
    found = compare(one, other, columns)
    ahead = [_against(item, one, other) for item in found if item.winner is one]
    behind = [_against(item, other, one) for item in found if item.winner is other]
    unclear = [f"on {item.column.title}: cannot tell ({_advice(item)})" for item in found if item.winner is None]
    parts = []
    if ahead:
        parts.append(f"{_name(one)} beats {_name(other)} {_all(ahead)}")
    if behind:
        parts.append(f"{_name(other)} beats {_name(one)} {_all(behind)}")
    if not parts:
        parts.append(f"{_name(one)} and {_name(other)}")
        return parts[0] + (": " + "; ".join(unclear) if unclear else " share no score") + "."
    return "; ".join([*parts, *unclear]) + "."


def more_prompts(one: Record, other: Record, name: str) -> int | None:
    """About how many more prompts would make a difference of the present size exclude zero; None for no difference.

    The half-width of the difference's interval shrinks with the square root of the number of prompts.
    """
    a, b = one.quantity(name), other.quantity(name)
    if a is None or b is None:
        return None
    difference, half = _difference(one, other, a, b)
    if difference == 0 or half <= 0:
        return None
    needed = a.n * (half / abs(difference)) ** 2
    return max(1, math.ceil(needed - a.n))


def _difference(one: Record, other: Record, a: Quantity, b: Quantity) -> tuple[float, float]:
    """Difference and half-width of its interval: over pairs where there are pairs, from both intervals elsewhere."""
    if a.name in one.per_image and b.name in other.per_image:
        pair = paired_interval(one.per_prompt(a.name), other.per_prompt(b.name))
        if pair is not None:
            return (pair[0] + pair[1]) / 2, (pair[1] - pair[0]) / 2
    return a.value - b.value, math.hypot(a.ci_high - a.ci_low, b.ci_high - b.ci_low) / 2


def _winner(one: Record, other: Record, name: str, paired: Difference | None) -> Record | None:
    if paired is not None:
        return {"better": one, "worse": other, "cannot tell": None}[paired.verdict]
    if beats(one, other, name):
        return one
    return other if beats(other, one, name) else None


def _name(record: Record) -> str:
    return f"{label(record.cell)} at {steps_text(record.cell.num_inference_steps)}"


def _against(item: Comparison, better: Record, worse: Record) -> str:
    places = digits(item.column, [better, worse])
    values = [record.quantity(item.column.name) for record in (better, worse)]
    shown = [number(value.value * item.column.factor, places) for value in values if value is not None]
    unit = f" {item.column.unit}" if item.column.unit else ""
    return f"{item.column.title} ({shown[0]} against {shown[1]}{unit})"


def _all(items: Sequence[str]) -> str:
    listed = items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]
    return f"on {listed}"


def _advice(item: Comparison) -> str:
    first = item.one.quantity(item.column.name)
    if item.column.kind == "cost":
        return "the difference is within the noise of this machine"
    other = item.other.quantity(item.column.name)
    if first is None or other is None or first.value == other.value:
        return "no difference"
    more = _more(item)
    if more is None:
        return "it has no interval"
    if first.n < MIN_PAIRS:
        return f"{first.n} prompts are too few"
    if more > _WORTH_SAYING * first.n:
        return "as good as equal"
    return f"about {_rounded(more):,} more prompts would"


def _more(item: Comparison) -> int | None:
    """About how many more prompts would tell."""
    if item.paired is None or item.paired.images_to_tell is None:
        return more_prompts(item.one, item.other, item.column.name)
    prompts = math.ceil(item.paired.images_to_tell * item.paired.prompts / item.paired.n)
    return max(1, prompts - item.paired.prompts)


def _rounded(count: int) -> int:
    """Two significant digits."""
    step: int = 10 ** max(0, len(str(count)) - 2)
    return step * round(count / step)
