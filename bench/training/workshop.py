"""What every training stage shares: a folder, progress with an ETA, a loss log, sample grids, a note of its making."""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bench.folder import write_json
from bench.training.curves import draw_losses
from methods.distill.compute import Compute
from methods.distill.loop import Log, TrainConfig, restore, train
from methods.distill.objective import Batch, Objective
from methods.distill.parallel import current_share
from methods.errors import WeightsError
from methods.weights import sha256

LOG_EVERY = 25
SPEAK_EVERY_S = 30.0  # where the progress is no terminal's
WEIGHTS = "model.safetensors"
MADE = "made.json"
_LOSSES, _MEASURES = "losses.csv", "measures.jsonl"

Measure = Callable[[Mapping[str, nn.Module]], Mapping[str, float]]
Grid = Callable[[Mapping[str, nn.Module]], Tensor]


@dataclass(frozen=True)
class Workshop:
    """One training folder: `<folder>/<stage>/` holds a stage's checkpoint, loss log, grids and finished weights."""

    folder: Path
    console: Console

    def stage(self, name: str) -> Path:
        """The folder of a stage."""
        return self.folder / name

    def finished(self, name: str) -> bool:
        """Whether a stage has written its weights."""
        return (self.stage(name) / MADE).exists()

    def weights(self, name: str) -> dict[str, Tensor]:
        """A finished stage's tensors.

        Raises:
            WeightsError: where the stage has not been trained.
        """
        if not self.finished(name):
            raise WeightsError(f"{name} is not trained yet; run `python -m bench train {name} --out {self.folder}`")
        return load_file(self.stage(name) / WEIGHTS)

    def finish(self, name: str, tensors: Mapping[str, Tensor], made: Mapping[str, Any]) -> None:
        """Write a stage's tensors and, last, the note that says what made them; the first process does it for all."""
        folder = self.stage(name)
        if current_share().rank:
            return
        folder.mkdir(parents=True, exist_ok=True)
        save_file({key: value.detach().contiguous() for key, value in tensors.items()}, folder / WEIGHTS)
        note = {**made, "versions": versions(), "machine": machine(), "sha256": sha256(folder / WEIGHTS)}
        write_json(folder / MADE, note)

    def run(
        self,
        name: str,
        objective: Objective,
        batch_at: Callable[[int], Batch],
        config: TrainConfig,
        *,
        data: str,
        measure: Measure | None = None,
        grid: Grid | None = None,
        measure_every: int = 500,
        compute: Compute = Compute(),  # noqa: B008  (frozen)
        enlarged: int = 3,
    ) -> tuple[Mapping[str, nn.Module], dict[str, Any]]:
        """Train to the end, going on from a checkpoint; the averaged networks and the note of what made them.

        `enlarged` is the scale of the sample grids.
        """
        folder = self.stage(name)
        folder.mkdir(parents=True, exist_ok=True)
        last: Log | None = None
        measured: Mapping[str, float] = {}
        with self._progress(name, config.steps) as advance:
            for log in train(objective, batch_at, config, folder, compute):
                if last is None and current_share().rank == 0:
                    forget_after(folder, log.step - 1)
                last = log
                advance(log)
                if current_share().rank:
                    continue  # the first process logs and measures for all
                if log.step % LOG_EVERY == 0 or log.step == config.steps:
                    self._write_losses(folder, log)
                if log.step % measure_every == 0 or log.step == config.steps:
                    measured = measure(log.averages) if measure else {}
                    self._write_measures(folder, log, measured)
                    if (folder / _LOSSES).exists():
                        draw_losses(folder / _LOSSES, folder / "losses.png")
                    if grid:
                        save_grid(grid(log.averages), folder / f"grid-{log.step:06d}.png", scale=enlarged)
        if last is None:  # the checkpoint was already at the end
            last = restore(objective, config, folder)
            measured = measure(last.averages) if measure else {}
        made = {
            "stage": name,
            "history": list(last.history),
            "data": data,
            "seconds": round(last.seconds, 1),
            **measured,
        }
        return last.averages, made

    @contextmanager
    def _progress(self, name: str, steps: int) -> Iterator[Callable[[Log], None]]:
        first = current_share().rank == 0
        silent = not (first and self.console.is_terminal)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[loss]}"),
                      console=self.console, disable=silent) as progress:  # fmt: skip
            task = progress.add_task(name, total=steps, loss="")
            spoken, start = time.monotonic(), _Start()

            def advance(log: Log) -> None:
                nonlocal spoken
                text = " ".join(f"{key.split('/')[-1]} {value:.4f}" for key, value in log.losses.items())
                progress.update(task, completed=log.step, loss=text)
                now = time.monotonic()
                if first and silent and (now - spoken >= SPEAK_EVERY_S or log.step == steps):
                    spoken = now
                    left = start.seconds_left(log, steps)
                    self.console.print(f"{name} {log.step}/{steps} {log.seconds:.0f} s, {left} {text}", soft_wrap=True)
                start.seen(log)

            yield advance

    def _write_losses(self, folder: Path, log: Log) -> None:
        path = folder / _LOSSES
        if not path.exists():
            path.write_text("step,seconds,learning_rate," + ",".join(log.losses) + "\n", encoding="utf-8")
        with path.open("a", encoding="utf-8") as file:
            values = ",".join(f"{value:.6g}" for value in log.losses.values())
            file.write(f"{log.step},{log.seconds:.1f},{log.learning_rate:.3g},{values}\n")

    def _write_measures(self, folder: Path, log: Log, measured: Mapping[str, float]) -> None:
        if measured:
            text = " ".join(f"{key} {value:.4g}" for key, value in measured.items())
            self.console.print(f"{log.step} steps, {log.seconds:.0f} s: {text}")
            with (folder / _MEASURES).open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": log.step, "seconds": round(log.seconds, 1), **measured}) + "\n")


class _Start:
    """The first step of this sitting, from which the time that is left is told."""

    def __init__(self) -> None:
        self._first: Log | None = None

    def seen(self, log: Log) -> None:
        self._first = self._first or log

    def seconds_left(self, log: Log, steps: int) -> str:
        """Such as "40 s left", by training time a step; grids and measures come on top."""
        if self._first is None or log.step == self._first.step:
            return "first step"
        rate = (log.seconds - self._first.seconds) / (log.step - self._first.step)
        return f"{rate * (steps - log.step):.0f} s left"


def forget_after(folder: Path, step: int) -> None:
    """Drop the losses and measures of steps after `step`: a training that was killed makes them again."""
    losses, measures = folder / _LOSSES, folder / _MEASURES
    if losses.exists():
        head, *rows = losses.read_text(encoding="utf-8").splitlines()
        kept = [row for row in rows if int(row.split(",", 1)[0]) <= step]
        losses.write_text("\n".join([head, *kept]) + "\n", encoding="utf-8")
    if measures.exists():
        rows = measures.read_text(encoding="utf-8").splitlines()
        measures.write_text("".join(f"{row}\n" for row in rows if json.loads(row)["step"] <= step), encoding="utf-8")


def save_grid(images: Tensor, path: Path, columns: int = 8, scale: int = 3) -> None:
    """uint8 (N, 3, H, W) as one PNG, enlarged without smoothing."""
    n, _, height, width = images.shape
    rows = -(-n // columns)
    sheet = torch.full((3, rows * (height + 2), columns * (width + 2)), 128, dtype=torch.uint8)
    for index, image in enumerate(images):
        y, x = index // columns * (height + 2) + 1, index % columns * (width + 2) + 1
        sheet[:, y : y + height, x : x + width] = image
    picture = Image.fromarray(sheet.permute(1, 2, 0).numpy())
    picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST).save(path)


def versions() -> dict[str, str]:
    """Versions of what a training depends on."""
    return {name: version(name) for name in ("torch", "diffusers", "transformers", "numpy")}


def machine() -> dict[str, Any]:
    """The processor and how many threads torch uses; no host name."""
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "processes": current_share().ranks,
        "system": sys.platform,
    }
