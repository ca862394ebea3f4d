"""What every training stage shares: a folder, progress with an ETA, a loss log, sample grids, a note of its making."""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bench.folder import PARTIAL, write_json
from bench.training.logs import Due, StageLogs
from methods.distill.checkpoint import checkpoint_step
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

SEED_STRIDE = 1000
"""Between the seeds of a training and those of its repetition, so that no two trainings share one."""

SNAPSHOTS = ("1/8", "1/4", "1/2", "1/1")
"""The shares of its steps after which a student is kept, for quality against training budget."""

Measure = Callable[[Mapping[str, nn.Module]], Mapping[str, float]]
Grid = Callable[[Mapping[str, nn.Module]], Tensor]
Student = Callable[[Mapping[str, nn.Module]], Mapping[str, Tensor]]


def student_tensors(averages: Mapping[str, nn.Module]) -> Mapping[str, Tensor]:
    """The averaged student, where something is trained that is called so."""
    return averages["student"].state_dict() if "student" in averages else {}


@dataclass(frozen=True)
class Workshop:
    """One training folder: `<folder>/<stage>/` holds a stage's checkpoint, loss log, grids and finished weights.

    With a `seed` the stages named in `repeated` are trained again from other seeds, below `<folder>/seed-<seed>/`; all
    others are those of the folder.
    """

    folder: Path
    console: Console
    seed: int = 0
    repeated: frozenset[str] = frozenset()

    def stage(self, name: str) -> Path:
        """The folder of a stage."""
        again = self.seed and name.split("/")[0] in self.repeated
        return self.folder / f"seed-{self.seed}" / name if again else self.folder / name

    def seeded(self, config: TrainConfig) -> TrainConfig:
        """`config` with the seed that it has in this repetition."""
        return replace(config, seed=config.seed + SEED_STRIDE * self.seed)

    def snapshot(self, name: str, share: str) -> Path:
        """Where the student of stage `name` is kept as it was after `share` of its steps."""
        return self.stage(name) / "snapshots" / f"{share.replace('/', '-')}.safetensors"

    def finished(self, name: str) -> bool:
        """Whether a stage has written its weights."""
        return (self.stage(name) / MADE).exists()

    def note(self, name: str) -> dict[str, Any]:
        """What stands beside the weights of a finished stage: how they were made."""
        found: dict[str, Any] = json.loads((self.stage(name) / MADE).read_text(encoding="utf-8"))
        return found

    def weights(self, name: str) -> dict[str, Tensor]:
        """A finished stage's tensors.

        Raises:
            WeightsError: where the stage has not been trained.
        """
        if not self.finished(name):
            seed = f" --seed {self.seed}" if self.seed else ""
            command = f"python -m bench train {name.split('/')[0]} --out {self.folder}{seed}"
            raise WeightsError(f"{name} is not trained yet; run `{command}`")
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
        student: Student | None = student_tensors,
    ) -> tuple[Mapping[str, nn.Module], dict[str, Any]]:
        """Train to the end, going on from a checkpoint; the averaged networks and the note of what made them.

        `enlarged` is the scale of the sample grids. `student` gives the tensors that are kept of the averages after
        each share of `SNAPSHOTS`; None keeps none.
        """
        folder = self.stage(name)
        folder.mkdir(parents=True, exist_ok=True)
        last: Log | None = None
        measured: Mapping[str, float] = {}
        logs = StageLogs(folder, self.console)
        first = current_share().rank == 0  # which logs and measures for all

        def due(step: int) -> Due:
            ends = step % measure_every == 0 or step == config.steps
            return Due(
                losses=step % LOG_EVERY == 0 or step == config.steps,
                measures=ends and measure is not None,
                grid=ends and grid is not None,
            )

        def note(log: Log) -> None:
            nonlocal measured
            if due(log.step).losses:
                logs.write_losses(log)
            if log.step % measure_every == 0 or log.step == config.steps:
                measured = measure(log.averages) if measure else {}
                logs.write_measures(log, measured)
                logs.draw()
                if grid:
                    save_grid(grid(log.averages), logs.grid(log.step), scale=enlarged)

        begun = checkpoint_step(folder)
        if first and logs.go_back_to(begun, due(begun)):
            note(restore(objective, config, folder))
        with self._progress(name, config.steps) as advance:
            for log in train(objective, batch_at, config, folder, compute):
                last = log
                advance(log)
                if first:
                    note(log)
                    if student is not None:
                        self._keep(name, log, config.steps, student)
        if last is None:  # the checkpoint was already at the end
            last = restore(objective, config, folder)
            measured = measured or (measure(last.averages) if measure else {})
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

    def _keep(self, name: str, log: Log, steps: int, student: Student) -> None:
        """Keep the student where this step completes a share of its training; the metadata says what it had taken."""
        for share in (share for share in SNAPSHOTS if log.step == max(1, round(steps * Fraction(share)))):
            tensors = student(log.averages)
            if tensors:
                path = self.snapshot(name, share)
                path.parent.mkdir(exist_ok=True)
                partial = path.with_suffix(".partial")
                whole = {key: value.detach().contiguous() for key, value in tensors.items()}
                save_file(whole, partial, {"step": str(log.step), "steps": str(steps), "seconds": f"{log.seconds:.3f}"})
                partial.replace(path)


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


def save_grid(images: Tensor, path: Path, columns: int = 8, scale: int = 3) -> None:
    """uint8 (N, 3, H, W) as one PNG, enlarged without smoothing."""
    n, _, height, width = images.shape
    rows = -(-n // columns)
    sheet = torch.full((3, rows * (height + 2), columns * (width + 2)), 128, dtype=torch.uint8)
    for index, image in enumerate(images):
        y, x = index // columns * (height + 2) + 1, index % columns * (width + 2) + 1
        sheet[:, y : y + height, x : x + width] = image
    picture = Image.fromarray(sheet.permute(1, 2, 0).numpy())
    enlarged = picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
    partial = path.with_name(path.name + PARTIAL)
    enlarged.save(partial, format="png")
    partial.replace(path)


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
