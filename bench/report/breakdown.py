"""Scores by the categories of their prompts, such as how many objects a caption names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean

import numpy as np
from scipy.special import ndtri, stdtrit

from bench.record import Record
from bench.report.display import columns, number
from bench.report.frame import Group, label
from bench.report.sheets import StoredPrompt

SHOWN = "attributes"
"""The score that is broken down in the report; the CSV has every score of single images."""

_Z = float(ndtri(0.975))


@dataclass(frozen=True)
class Part:
    """The mean of one score over the prompts of one category, with its 95 % interval, in the score's own unit."""

    record: Record
    quantity: str
    category: str
    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Breakdown:
    """One score of a group: a column a category, with its number of prompts, and a row a cell.

    A row is the method, its steps, the texts of the columns, and the name of the cell.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, int, tuple[str, ...], str], ...]


def parts(group: Group, prompts: Sequence[StoredPrompt]) -> list[Part]:
    """Every score of single images by category; none where the prompts are of one category or do not match."""
    categories = sorted({prompt.category for prompt in prompts})
    if len(categories) < 2:
        return []
    found: list[Part] = []
    for record in group.measured:
        for name in record.per_image:
            values = record.per_prompt(name)
            if len(values) > len(prompts) or not _is_mean(record, name, values):
                continue
            by_category: dict[str, list[float]] = {}
            for prompt, value in zip(prompts, values, strict=False):
                by_category.setdefault(prompt.category, []).append(value)
            found += [Part(record, name, category, *_mean(by_category[category])) for category in sorted(by_category)]
    return found


def breakdown(group: Group, prompts: Sequence[StoredPrompt]) -> Breakdown | None:
    """The table of `SHOWN`, or None where there is nothing to break down."""
    column = next((item for item in columns(group.measured) if item.name == SHOWN), None)
    found = [part for part in parts(group, prompts) if part.quantity == SHOWN]
    if column is None or not found:
        return None
    categories = sorted({part.category for part in found})
    at = {(part.record.cell.name, part.category): part for part in found}
    sizes = {category: max(part.n for part in found if part.category == category) for category in categories}
    rows = []
    for record in group.measured:
        here = [at.get((record.cell.name, category)) for category in categories]
        if any(here):
            texts = tuple(_text(part) for part in here)
            rows.append((label(record.cell), record.cell.num_inference_steps, texts, record.cell.name))
    return Breakdown(column.header, tuple(f"{name} (n = {sizes[name]})" for name in categories), tuple(rows))


def _is_mean(record: Record, name: str, values: Sequence[float]) -> bool:
    """Whether the score is the mean of its images' values; a distance between sets is not."""
    quantity = record.quantity(name)
    return quantity is not None and math.isclose(fmean(values), quantity.value, rel_tol=1e-4, abs_tol=1e-4)


def _mean(values: Sequence[float]) -> tuple[float, float, float, int]:
    """(mean, low, high, n): Wilson's interval for shares in per cent, Student's t for other scores."""
    n, mean = len(values), fmean(values)
    if set(values) <= {0.0, 100.0}:
        low, high = wilson(sum(value > 0 for value in values), n)
        return mean, 100 * low, 100 * high, n
    if n < 2:
        return mean, mean, mean, n
    half = _t(n - 1) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return mean, mean - half, mean + half, n


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927), as `scipy.stats.binomtest` has it, which takes far longer."""
    share, square = hits / n, _Z * _Z
    centre = share + square / (2 * n)
    half = _Z * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    low = 0.0 if hits == 0 else (centre - half) / (1 + square / n)
    high = 1.0 if hits == n else (centre + half) / (1 + square / n)
    return low, high


@cache
def _t(degrees: int) -> float:
    """The 97.5 % quantile of Student's t."""
    return float(stdtrit(degrees, 0.975))


def _text(part: Part | None) -> str:
    if part is None:
        return "–"
    value, low, high = (number(item, 1) for item in (part.value, part.low, part.high))
    return f"{value} [{low}, {high}]"
