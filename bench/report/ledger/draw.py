"""The ledger's charts: published beside ours, in the one look of all figures, legible without colour."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.published.tables import PublishedRow, published
from bench.record import Quantity, Record
from bench.report.frame import label, steps_text
from bench.report.labels import Label, place_labels
from bench.report.ledger.figure7 import Rated
from bench.report.ledger.figure11 import truncation
from bench.report.ledger.lines import Entry, Line, Part
from bench.report.ledger.verdict import NOT_MEASURED
from bench.report.scales import along
from bench.report.style import FAINT, INK, Look, drawing, encode, looks, new_figure

PUBLISHED, OURS = "#D55E00", "#0072B2"
_ROW = 0.34  # inches a row
_NOISE = 4.9  # points of a share of 400 votes


def draw_study(entry: Entry) -> dict[str, bytes]:
    """The shares of one user study: hollow diamonds are people, filled dots our judges with 95 % intervals."""
    with drawing():
        rows = max(len(part.lines) for part in entry.parts)
        height = 1.0 + _ROW * rows
        figure = new_figure(8.2, height)
        figure.subplots_adjust(
            left=1.75 / 8.2, right=1 - 0.15 / 8.2, bottom=0.74 / height, top=1 - 0.3 / height, wspace=0.07
        )
        for place, part in enumerate(entry.parts):
            axes = figure.add_subplot(1, len(entry.parts), place + 1)
            _shares(axes, part, named=place == 0)
        _key(figure, height)
        return encode(figure)


def _shares(axes: Axes, part: Part, *, named: bool) -> None:
    axes.set_title(part.title.partition(", ")[2].capitalize())
    axes.set_xlim(0, 100)
    axes.set_ylim(len(part.lines) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.axvline(50, color=FAINT, lw=0.9, ls="--", zorder=1)
    names = [f"{line.heads[1]} · {line.heads[2]}" for line in part.lines]
    axes.set_yticks(range(len(names)), names if named else [""] * len(names))
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("votes for ADD (%)")
    for row, line in enumerate(part.lines):
        _share(axes, row, line)


def _share(axes: Axes, row: int, line: Line) -> None:
    assert line.published_value is not None
    axes.errorbar(
        line.published_value, row - 0.14, xerr=_NOISE, color=PUBLISHED, marker="D", ms=5.5, mfc="white", mew=1.4,
        elinewidth=1, capsize=2, zorder=3,
    )  # fmt: skip
    if line.ours.sort is None:
        text = "not measured" if NOT_MEASURED in line.ours.reason else "no counterpart here"
        left = line.published_value > 50  # away from the published value
        axes.text(2 if left else 98, row, text, fontsize=7.5, color=FAINT, va="center", ha="left" if left else "right")
        return
    value, low, high = line.ours.sort, line.ours.low, line.ours.high
    assert low is not None
    assert high is not None
    axes.errorbar(
        value, row + 0.17, xerr=[[value - low], [high - value]], color=OURS, marker="o",
        ms=6, elinewidth=1.2, capsize=2, zorder=3,
    )  # fmt: skip


def _key(figure: Figure, height: float) -> None:
    """What the two marks are, at the foot."""
    axes = figure.add_axes((0, 0, 1, 0.3 / height))
    axes.set_axis_off()
    axes.set_xlim(0, 8.2)
    axes.set_ylim(0, 1)
    for x, colour, marker, text in (
        (1.85, PUBLISHED, "D", "people, read off the figure (400 votes)"),
        (4.9, OURS, "o", "our judges, 95 % interval"),
    ):
        face = "white" if marker == "D" else colour
        axes.plot(x, 0.6, color=colour, marker=marker, ms=5.5, mfc=face, mew=1.4)
        axes.text(x + 0.13, 0.6, text, fontsize=8.5, va="center", color=INK)


def draw_figure7(rated: Rated | None, named: Mapping[str, str]) -> dict[str, bytes]:
    """Ratings against time, the paper's on the left and ours on the right, what answers to each in the same look.

    `named` is the published model that the cell of a name answers to.
    """
    rows = published("figure7")
    with drawing():
        figure = new_figure(8.6, 3.7)
        figure.subplots_adjust(left=0.65 / 8.6, right=1 - 0.12 / 8.6, bottom=0.52 / 3.7, top=1 - 0.34 / 3.7, wspace=0.2)
        look = looks(row.keys["model"] for row in rows)
        _published_ratings(figure.add_subplot(1, 2, 1), rows, look)
        own = {name: look[model] for name, model in named.items()}
        _own_ratings(figure.add_subplot(1, 2, 2), rated, own)
        return encode(figure)


def _published_ratings(axes: Axes, rows: Sequence[PublishedRow], look: Mapping[str, Look]) -> None:
    axes.set_title("Published: Elo of people's votes")
    _frame(axes, [row.values["time_s"].number for row in rows], [row.values["elo"].number for row in rows], "s, A100")
    labels = []
    for row in rows:
        name, time, elo = row.keys["model"], row.values["time_s"], row.values["elo"]
        style = look[name]
        axes.errorbar(time.number, elo.number, xerr=time.error, color=style.colour, marker=style.marker, ms=7,
                      markeredgecolor="white", markeredgewidth=0.7)  # fmt: skip
        labels.append(Label(f"{name} · {row.steps}", time.number, elo.number, style.ink))
    place_labels(axes, labels, [])


def _own_ratings(axes: Axes, rated: Rated | None, look: Mapping[str, Look]) -> None:
    axes.set_title("Ours: Elo (filled), Bradley-Terry (bar)")
    points = [] if rated is None else [item for item in rated.records if item.quantity("latency_s") is not None]
    if rated is None or not points:
        axes.text(0.5, 0.5, "fewer than two of the models are measured", transform=axes.transAxes, ha="center",
                  color=FAINT)  # fmt: skip
        axes.set_xticks([])
        axes.set_yticks([])
        return
    times = [_latency(record) for record in points]
    ends = [end for record in points for end in _strength(rated, record)[1:]]
    _frame(axes, times, [*ends, *map(float, rated.elo)], f"s, {points[0].cell.device}")
    labels, obstacles = [], []
    for record, time in zip(points, times, strict=True):
        style = look[record.cell.name]
        value, low, high = _strength(rated, record)
        axes.errorbar(time, value, yerr=[[value - low], [high - value]], color=style.colour, marker="_", ms=9,
                      elinewidth=1.2, capsize=2.5, zorder=2)  # fmt: skip
        own = float(rated.elo[rated.place(record)])
        axes.plot(time, own, color=style.colour, marker=style.marker, ms=7, markeredgecolor="white",
                  markeredgewidth=0.7, zorder=3, ls="")  # fmt: skip
        labels.append(Label(f"{label(record.cell)} · {record.cell.num_inference_steps}", time, own, style.ink))
        obstacles += [(time, low + share * (high - low)) for share in (0, 0.25, 0.5, 0.75, 1)]
    place_labels(axes, labels, obstacles)


def _strength(rated: Rated, record: Record) -> tuple[float, float, float]:
    place = rated.place(record)
    if rated.strengths is None:
        return (float(rated.elo[place]),) * 3
    return float(rated.strengths.ratings[place]), *rated.strengths.interval(place)


def _latency(record: Record) -> float:
    quantity = record.quantity("latency_s")
    assert quantity is not None
    return quantity.value


def _frame(axes: Axes, times: Sequence[float], ratings: Sequence[float], unit: str) -> None:
    axes.set_xscale("log")
    low, high = min(times), max(times)
    margin = max((high / low) ** 0.16, 1.35)
    axes.set_xlim(low / margin, high * margin)
    axes.xaxis.set_major_locator(FixedLocator(_ticks(low / margin, high * margin)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel(f"time of one image ({unit}, log scale) ↓")
    axes.set_ylabel("rating ↑")
    span = (max(ratings) - min(ratings)) or 1.0
    axes.set_ylim(min(ratings) - 0.12 * span, max(ratings) + 0.12 * span)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two positive ones, as many as can be read."""
    found: list[float] = []
    for factors in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1,)):
        ticks = (factor * 10.0**power for power in range(math.floor(math.log10(low)), 4) for factor in factors)
        found = [tick for tick in ticks if low <= tick <= high]
        if len(found) <= 6:
            break
    return found


def draw_figure11(found: Sequence[Record]) -> dict[str, bytes]:
    """The trade-off curves: the paper's on the left, ours on the right, points joined in order of truncation."""
    with drawing():
        figure = new_figure(8.6, 3.4)
        figure.subplots_adjust(left=0.6 / 8.6, right=1 - 0.12 / 8.6, bottom=0.52 / 3.4, top=1 - 0.34 / 3.4, wspace=0.2)
        _published_curves(figure.add_subplot(1, 2, 1))
        _own_curve(figure.add_subplot(1, 2, 2), found)
        return encode(figure)


def _published_curves(axes: Axes) -> None:
    rows = published("figure11")
    axes.set_title("Published")
    axes.set_xlabel("CLIP score ↑")
    axes.set_ylabel("FID ↓")
    look = looks(row.keys["model"] for row in rows)
    labels, obstacles = [], []
    for name in dict.fromkeys(row.keys["model"] for row in rows):
        points = [row.values for row in rows if row.keys["model"] == name]
        x = [point["clip_score"].number for point in points]
        y = [point["fid"].number for point in points]
        axes.plot(x, y, color=look[name].colour, marker=look[name].marker, ls=look[name].dashes)
        labels.append(Label(name, x[-1], y[-1], look[name].ink))
        obstacles += list(zip(x, y, strict=True))
    axes.margins(x=0.5, y=0.12)
    place_labels(axes, labels, obstacles)


def _own_curve(axes: Axes, found: Sequence[Record]) -> None:
    axes.set_title("Ours: the GAN of the embedded suite")
    axes.set_xlabel("CLIP-shapes ↑")
    axes.set_ylabel("FD-shapes ↓")
    points = [
        (record, clip, distance) for record in found
        if (clip := record.quantity("clip-shapes")) and (distance := record.quantity("fd-shapes"))
    ]  # fmt: skip
    if len(points) < 2:
        axes.text(0.5, 0.5, "no GAN is measured at two truncations", transform=axes.transAxes, ha="center", color=FAINT)
        axes.set_xticks([])
        axes.set_yticks([])
        return
    x, y = [clip.value for _, clip, _ in points], [distance.value for _, _, distance in points]
    across, up = _spread([clip for _, clip, _ in points]), _spread([distance for _, _, distance in points])
    axes.errorbar(x, y, xerr=across, yerr=up, color=OURS, marker="o", capsize=2, elinewidth=1)
    axes.margins(0.16)
    texts = [f"ψ = {truncation(record):g}" for record, _, _ in (points[0], points[-1])]
    ends = ((x[0], y[0]), (x[-1], y[-1]))
    labels = [Label(text, *end, INK) for text, end in zip(texts, ends, strict=True)]
    obstacles = list(zip(x, y, strict=True))
    for _, clip, distance in points:
        obstacles += along([clip.ci_low, clip.ci_high], [distance.value, distance.value])
        obstacles += along([clip.value, clip.value], [distance.ci_low, distance.ci_high])
    place_labels(axes, labels, obstacles)


def _spread(quantities: Sequence[Quantity]) -> list[list[float]]:
    """How far intervals reach below and above their values."""
    below = [max(0.0, item.value - item.ci_low) for item in quantities]
    return [below, [max(0.0, item.ci_high - item.value) for item in quantities]]


def alt_study(entry: Entry) -> str:
    """What the picture of a study shows, in words."""
    told = [f"{line.heads[1]}: {line.published} of people, ours {line.ours.whole}" for line in entry.parts[0].lines]
    return f"Shares of votes for ADD. On image quality, {'; '.join(told)}."


def alt_figure7(rated: Rated | None) -> str:
    """The same of figure 7."""
    own = "none measured"
    if rated is not None:
        pairs = zip(rated.records, rated.elo, strict=True)
        own = ", ".join(f"{label(r.cell)} at {steps_text(r.cell.num_inference_steps)} {elo:.0f}" for r, elo in pairs)
    return f"Ratings against the time of one image, the paper's on the left, ours on the right: {own}."
