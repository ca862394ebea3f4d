"""A figure of head against base: each check's change in units of its margin, with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from bench.gate.lines import grouped, verdict_text
from bench.gate.run import Outcome
from bench.gate.verdicts import Check, Verdict
from bench.report.style import FAINT, INK, drawing, encode, new_figure

_COLOURS = {
    Verdict.PASS: "#0072B2",
    Verdict.REGRESSION: "#D55E00",
    Verdict.INCONCLUSIVE: "#8b949e",
    Verdict.CALIBRATION_NEEDED: "#E69F00",
    Verdict.RECIPE_MISMATCH: "#CC79A7",
}
_MARKERS = {Verdict.PASS: "o", Verdict.REGRESSION: "X", Verdict.RECIPE_MISMATCH: "D"}
_WIDEST = 6.0  # margins to either side; what lies beyond is drawn at the edge


def write_figure(outcome: Outcome, folder: Path) -> list[Path]:
    """gate.svg and gate.png, where there is anything to draw."""
    drawn = [check for group in grouped(outcome.checks) for check in group if _worsening(check) is not None]
    if not drawn:
        return []
    with drawing():
        files = _draw(drawn, outcome)
    paths = []
    for ending, data in files.items():
        paths.append(folder / f"gate.{ending}")
        paths[-1].write_bytes(data)
    return paths


def _draw(checks: Sequence[Check], outcome: Outcome) -> dict[str, bytes]:
    figure = new_figure(8.0, 1.3 + 0.24 * len(checks))
    axes = figure.subplots()
    for place, check in enumerate(checks):
        found = _worsening(check)
        if found is None or check.verdict is None:
            continue
        value, low, high = (max(-_WIDEST, min(_WIDEST, x)) for x in found)
        colour, marker = _COLOURS[check.verdict], _MARKERS.get(check.verdict, "s")
        axes.plot([low, high], [place, place], color=colour, linewidth=2, solid_capstyle="butt")
        axes.plot(value, place, marker, color=colour, markersize=5)
    axes.axvline(0, color=FAINT, linewidth=1)
    axes.axvline(1, color=INK, linewidth=1, linestyle="--")
    axes.set_yticks(range(len(checks)), [f"{item.cell} · {item.title} · {verdict_text(item)}" for item in checks])
    axes.set_ylim(len(checks) - 0.4, -0.6)
    axes.set_xlim(-_WIDEST * 1.04, _WIDEST * 1.04)
    axes.set_xlabel("← head is better · change in margins (dashed: the margin) · head is worse →")
    axes.set_title(f"Head against base: {outcome.verdict}")
    axes.grid(axis="y", visible=False)
    figure.tight_layout()
    return encode(figure)


def _worsening(check: Check) -> tuple[float, float, float] | None:
    """Change and interval in margins, worse being positive; None where there is no number or margin."""
    values = (check.change, check.low, check.high)
    if check.verdict is None or not check.margin > 0 or any(math.isnan(value) for value in values):
        return None
    sign = -1.0 if check.higher_is_better else 1.0
    value, *ends = (sign * x / check.margin for x in values)
    return value, min(ends), max(ends)
