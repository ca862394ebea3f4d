"""What a training leaves while it runs: losses, pictures, a line with the time left; and after it was killed."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from bench.training import workshop
from bench.training.workshop import Workshop
from methods.distill.draws import Draws
from methods.distill.loop import TrainConfig
from methods.distill.objective import Batch, Objective

CONFIG = TrainConfig(steps=60, batch_size=4, learning_rate=0.01, warmup_steps=1, checkpoint_every=20)


class Line(Objective):
    def __init__(self) -> None:
        torch.manual_seed(0)
        self.line = nn.Linear(2, 1)

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        return {"line": self.line}

    def losses(self, network: str, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        x = draws.normal(4, 2)
        return {"error": (self.line(x) - x.sum(dim=1, keepdim=True)).square().mean()}


def trained(folder: Path, *, killed_at: int | None = None) -> str:
    """What was said; a kill comes before the batch of its step."""
    said = io.StringIO()

    def batch_at(step: int) -> Batch:
        if step == killed_at:
            raise KeyboardInterrupt
        return {}

    def grid(networks: Mapping[str, nn.Module]) -> Tensor:
        return torch.zeros(2, 3, 8, 8, dtype=torch.uint8)

    shop = Workshop(folder, Console(file=said, width=200))
    shop.run(
        "line", Line(), batch_at, CONFIG, data="", grid=grid, measure=lambda networks: {"weight": 1.0}, measure_every=15
    )  # fmt: skip
    return said.getvalue()


def steps_of(folder: Path) -> tuple[list[int], list[int]]:
    """The steps whose losses, and whose measures, are on record."""
    losses = (folder / "line/losses.csv").read_text(encoding="utf-8").splitlines()[1:]
    measures = (folder / "line/measures.jsonl").read_text(encoding="utf-8").splitlines()
    return [int(row.split(",")[0]) for row in losses], [json.loads(row)["step"] for row in measures]


def test_losses_measures_pictures_and_the_time_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workshop, "SPEAK_EVERY_S", 0.0)
    said = trained(tmp_path)
    assert steps_of(tmp_path) == ([25, 50, 60], [15, 30, 45, 60])
    assert (tmp_path / "line/losses.png").exists()
    assert [path.name for path in sorted(tmp_path.glob("line/grid-*.png"))] == [
        f"grid-{step:06d}.png" for step in (15, 30, 45, 60)
    ]
    assert "line 30/60" in said
    assert "s left" in said


def test_what_is_trained_again_is_recorded_once(tmp_path: Path) -> None:
    """Killed at 55, going on from 40: steps 41 to 54 come a second time."""
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, killed_at=55)
    assert steps_of(tmp_path) == ([25, 50], [15, 30, 45])
    trained(tmp_path)
    assert steps_of(tmp_path) == ([25, 50, 60], [15, 30, 45, 60])


def test_a_short_training_speaks_at_its_end(tmp_path: Path) -> None:
    assert "line 60/60" in trained(tmp_path)
