"""Quality against what a training had taken, in teacher evaluations, student images and seconds: table and figure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from bench.claims.pooled import Pooled
from bench.record import Quantity, Record
from bench.report.display import Display, display, number
from bench.report.legend import legend_height, write_legend
from bench.report.scales import log_ticks
from bench.report.style import Look, drawing, encode, looks, new_figure

CURRENCIES = {
    "teacher_evaluations": "teacher evaluations",
    "images": "student images",
    "seconds": "seconds of training",
}
"""Field of a record's `training` -> what it is called."""

SCORES = ("fd-shapes", "clip-shapes", "preference")
BUDGET_HEADS = (
    "method", "steps", "share", "teacher evaluations", "images", "seconds", "FD-shapes ↓ [95 %]",
    "CLIP-shapes ↑ [95 %]", "preference ↑ [95 %]", "seeds",
)  # fmt: skip
HOW_SPENT = (
    "Students as their trainings had them after a share of the steps, at one step of sampling or their fewest. What "
    "came before the last part of a training is counted in full, so curves of several parts begin late. Intervals go "
    "over images, and are the mean of those of the training seeds, where there are several."
)


@dataclass(frozen=True)
class Kept:
    """A student at one share of its training, over the training seeds that have it."""

    method: str
    steps: int
    share: str
    spent: Mapping[str, float]
    scores: Mapping[str, Pooled]
    displays: Mapping[str, Display]
    seeds: int


def kept_students(records: Iterable[Record]) -> tuple[Kept, ...]:
    """Every student that was kept on its way, by method and share."""
    groups: dict[tuple[str, int, str], list[Record]] = {}
    for record in records:
        cell = record.cell
        if cell.snapshot is not None and record.status == "ok" and "training" in record.provenance:
            groups.setdefault((cell.method, cell.num_inference_steps, cell.snapshot), []).append(record)
    found = [_kept(*key, of_key) for key, of_key in groups.items()]
    return tuple(sorted(found, key=lambda item: (item.method, item.steps, Fraction(item.share))))


def _kept(method: str, steps: int, share: str, records: Sequence[Record]) -> Kept:
    spent = {name: fmean(float(record.provenance["training"][name]) for record in records) for name in CURRENCIES}
    quantities = {name: [found for record in records if (found := record.quantity(name))] for name in SCORES}
    scores = {name: _mean(values) for name, values in quantities.items() if values}
    displays = {name: display(values[0]) for name, values in quantities.items() if values}
    return Kept(method, steps, share, spent, scores, displays, len(records))


def _mean(values: Sequence[Quantity]) -> Pooled:
    low, high = fmean(value.ci_low for value in values), fmean(value.ci_high for value in values)
    return Pooled(fmean(value.value for value in values), low, high, 0.0)


def budget_csv_rows(found: Sequence[Kept]) -> tuple[list[str], list[list[object]]]:
    """Heads and a line a (student, score), with all numbers."""
    heads = ["method", "num_inference_steps", "share", *CURRENCIES, "quantity", "value", "ci_low", "ci_high", "seeds"]
    rows: list[list[object]] = []
    for item in found:
        place: list[object] = [item.method, item.steps, item.share, *(f"{item.spent[name]:.6g}" for name in CURRENCIES)]
        for name, score in item.scores.items():
            rows.append([*place, name, *(f"{value:.6g}" for value in (score.value, score.low, score.high)), item.seeds])
    return heads, rows


def budget_rows(found: Sequence[Kept]) -> list[list[str]]:
    """A line a student, as under `BUDGET_HEADS`."""
    from bench.report.claims import with_interval

    return [
        [
            item.method, str(item.steps), item.share, *(number(item.spent[name], 0) for name in CURRENCIES),
            *(with_interval(item.scores[name]) if name in item.scores else "" for name in SCORES), str(item.seeds),
        ]
        for item in found
    ]  # fmt: skip


def budget_figure(found: Sequence[Kept], score: str = "fd-shapes") -> dict[str, bytes]:
    """{file name: bytes}: a panel a currency, a line a method; nothing where nothing was kept."""
    shown = [item for item in found if score in item.scores]
    if not shown:
        return {}
    with drawing():
        look = looks(item.method for item in shown)
        width, panels, below = 4.0 * len(CURRENCIES), 3.9, legend_height(list(look), 4.0 * len(CURRENCIES))
        height = panels + below
        figure = new_figure(width, height)
        figure.subplots_adjust(
            left=0.05, right=0.99, bottom=(0.55 + below) / height, top=1 - 0.36 / height, wspace=0.14
        )  # fmt: skip
        for place, (name, title) in enumerate(CURRENCIES.items()):
            axes = figure.add_subplot(1, len(CURRENCIES), place + 1)
            axes.set_title(shown[0].displays[score].header if place == 0 else " ")
            axes.set_xlabel(f"{title} (log scale)")
            _panel(axes, [item for item in shown if item.spent[name] > 0], name, score, look)
        write_legend(figure, look)
        files = encode(figure)
    return {f"quality-budget.{kind}": data for kind, data in files.items()}


def _panel(axes: Axes, found: Sequence[Kept], currency: str, score: str, look: Mapping[str, Look]) -> None:
    if not found:
        return
    axes.set_xscale("log")
    if all(item.scores[score].low > 0 for item in found):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    spent = [item.spent[currency] for item in found]
    axes.set_xlim(min(spent) / 1.2, max(spent) * 1.2)
    axes.xaxis.set_major_locator(FixedLocator(log_ticks(*axes.get_xlim())))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axes.xaxis.set_minor_locator(NullLocator())
    for method in sorted({item.method for item in found}):
        line = sorted((item for item in found if item.method == method), key=lambda item: item.spent[currency])
        x, y = [item.spent[currency] for item in line], [item.scores[score].value for item in line]
        style = look[method]
        spread = [
            [item.scores[score].value - item.scores[score].low for item in line],
            [item.scores[score].high - item.scores[score].value for item in line],
        ]
        axes.errorbar(
            x, y, yerr=spread, color=style.colour, marker=style.marker, ls=style.dashes, ms=4.5, elinewidth=0.7,
            capsize=1.5, markeredgecolor="white", markeredgewidth=0.5, zorder=3,
        )  # fmt: skip


def _short(count: float) -> str:
    """500, 20 k, 1.5 M."""
    for unit, letter in ((1e6, " M"), (1e3, " k")):
        if count >= unit:
            return f"{count / unit:g}{letter}"
    return f"{count:g}"
