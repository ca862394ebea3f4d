"""What a stage writes down while it trains: losses, measures, pictures. After a crash it goes back to the checkpoint.

Rows of steps behind the checkpoint are dropped, as those steps are trained again; what was due at the checkpoint's own
step and is not there is made. So the files of a training that was killed are those of one that never was, but for its
times.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench.folder import PARTIAL, write_text
from bench.training.curves import draw_losses
from methods.distill.loop import Log

LOSSES = "losses.csv"
MEASURES = "measures.jsonl"
_FIRST = "step,seconds,learning_rate"


@dataclass(frozen=True)
class Due:
    """What is to be written down after a step."""

    losses: bool
    measures: bool
    grid: bool


class StageLogs:
    """The log files of one stage, in its folder."""

    def __init__(self, folder: Path, console: Console) -> None:
        self._folder, self._console = folder, console

    def grid(self, step: int) -> Path:
        """The picture of the samples after `step` steps."""
        return self._folder / f"grid-{step:06d}.png"

    def write_losses(self, log: Log) -> None:
        """Add a row of losses; a network that begins to learn later adds its columns then."""
        path = self._folder / LOSSES
        lines = _whole_lines(path) if path.exists() else [_FIRST]
        known = lines[0].split(",")[_FIRST.count(",") + 1 :]
        names = [*known, *(name for name in log.losses if name not in known)]
        if names != known:
            write_text(path, "".join(f"{line}\n" for line in (",".join((_FIRST, *names)), *lines[1:])))
        with path.open("a", encoding="utf-8") as file:
            values = ",".join(f"{log.losses[name]:.6g}" if name in log.losses else "" for name in names)
            file.write(f"{log.step},{log.seconds:.1f},{log.learning_rate:.3g},{values}\n")

    def write_measures(self, log: Log, measured: Mapping[str, float]) -> None:
        """Add a line of measures, where there are any, and show it."""
        if measured:
            text = " ".join(f"{key} {value:.4g}" for key, value in measured.items())
            self._console.print(f"{log.step} steps, {log.seconds:.0f} s: {text}")
            with (self._folder / MEASURES).open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": log.step, "seconds": round(log.seconds, 1), **measured}) + "\n")

    def draw(self) -> None:
        """Draw the losses so far."""
        if (self._folder / LOSSES).exists():
            draw_losses(self._folder / LOSSES, self._folder / "losses.png")

    def go_back_to(self, step: int, due: Due) -> bool:
        """Drop what is behind `step`, the checkpoint's (0 where there is none).

        Returns:
            Whether anything that was due at `step` is missing; then all of it is dropped, to be made again.
        """
        for path in self._folder.glob(f"*{PARTIAL}"):
            path.unlink(missing_ok=True)
        missing = step > 0 and self._missing(step, due)
        last = step - 1 if missing else step
        _keep(self._folder / LOSSES, 1, lambda line: int(line.split(",")[0]) <= last)
        _keep(self._folder / MEASURES, 0, lambda line: int(json.loads(line)["step"]) <= last)
        for path in self._folder.glob("grid-*.png"):
            if int(path.stem.removeprefix("grid-")) > last:
                path.unlink()
        return missing

    def _missing(self, step: int, due: Due) -> bool:
        """Whether something that is due at `step` is not there."""
        losses = due.losses and not _has(self._folder / LOSSES, f"{step},")
        measures = due.measures and not _has(self._folder / MEASURES, f'{{"step": {step},')
        return losses or measures or (due.grid and not self.grid(step).exists())


def _has(path: Path, start: str) -> bool:
    return path.exists() and any(line.startswith(start) for line in _whole_lines(path))


def _whole_lines(path: Path) -> list[str]:
    """The lines of a file that were written to their end."""
    text = path.read_text(encoding="utf-8")
    return text[: text.rfind("\n") + 1].splitlines()


def _keep(path: Path, header: int, wanted: Callable[[str], bool]) -> None:
    """Keep the first `header` lines of a file and, of the others, those that are `wanted`."""
    if not path.exists():
        return
    lines = _whole_lines(path)
    kept = lines[:header] + [line for line in lines[header:] if wanted(line)]
    text = "".join(f"{line}\n" for line in kept)
    if text != path.read_text(encoding="utf-8"):
        write_text(path, text)
