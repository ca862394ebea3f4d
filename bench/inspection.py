"""What given weights would do: loaded as a run loads them, and read off the pipeline."""

from __future__ import annotations

from pathlib import Path

import torch

from bench.following import row_weights
from methods.checkpoints.guard import Settings
from methods.checkpoints.table import Checkpoint
from methods.interface import SampleRequest
from methods.released import load_released, settings_of


def inspect_weights(row: Checkpoint, steps: int, guidance_scale: float | None, dtype: str, given: Path) -> Settings:
    """The settings that a run of `row` from `given`, a pipeline folder or a part of one, would have.

    Raises:
        WeightsError: where it cannot be used.
        ValueError: where its scheduler cannot make the step count.
    """
    method = load_released(
        row,
        row_weights(row, given),
        device=torch.device("cpu"),
        dtype=getattr(torch, dtype),
        guidance_scale=guidance_scale,
        off_recipe=True,
    )
    return settings_of(method, SampleRequest(("",), (0,), steps, guidance_scale))
