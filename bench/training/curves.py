"""Loss curves of a training, as a picture beside its samples."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

_NOT_A_LOSS = ("step", "seconds", "learning_rate")
_SMOOTHED = 20  # logged points that the bold line averages over


def draw_losses(table: Path, picture: Path) -> None:
    """Draw every loss of `table` (columns step, seconds, learning_rate and one a loss) over the steps, a panel each."""
    rows = pd.read_csv(table)
    losses = [name for name in rows.columns if name not in _NOT_A_LOSS]
    figure = Figure(figsize=(6, 2.2 * len(losses)), layout="constrained")
    for place, name in enumerate(losses):
        axes = figure.add_subplot(len(losses), 1, place + 1)
        known = rows[rows[name].notna()]  # a network may begin to learn later
        axes.plot(known["step"], known[name], lw=0.6, alpha=0.4)
        smooth = known[name].rolling(_SMOOTHED, min_periods=1, center=True).mean()
        axes.plot(known["step"], smooth, lw=1.6, color="C0")
        if (known[name] > 0).all():
            axes.set_yscale("log")
        axes.set_title(name, loc="left", fontsize=9)
    axes.set_xlabel("step")
    partial = picture.with_suffix(".partial")
    figure.savefig(partial, format="png", dpi=110)
    partial.replace(picture)
