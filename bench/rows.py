"""Rows of the table of released checkpoints in a run: loaded from their folders, and guarded before the first image."""

from __future__ import annotations

from pathlib import Path

import torch

from bench.errors import FewstepError
from bench.following import departures, row_of
from bench.plan import Plan
from bench.record import Cell
from methods.checkpoints.guard import compare
from methods.interface import Method, SampleRequest
from methods.released import Released, load_released, settings_of


def row_key(cell: Cell) -> str:
    """What cells share that are sampled by one loaded method."""
    name = f"{row_of(cell).name} {cell.method}"
    return f"{name} {cell.guidance_scale}" if cell.off_recipe else name


def load_row(cell: Cell, folder: Path, device: torch.device, dtype: torch.dtype) -> Released:
    """The method of a cell that has a family, from its pipeline folder.

    Raises:
        WeightsError: where the weights cannot be used.
    """
    return load_released(
        row_of(cell), folder, device=device, dtype=dtype, guidance_scale=cell.guidance_scale, off_recipe=cell.off_recipe
    )


def check_recipe(cell: Cell, plan: Plan, method: Method, request: SampleRequest) -> list[str]:
    """Where the loaded method departs from its row, a line each; only what was seen and allowed before may.

    Raises:
        FewstepError: for what was not: the weights or diffusers do something else than the recipe says.
    """
    if not isinstance(method, Released):
        return []
    allowed = {check.name for check in departures(cell, plan.weights.get(cell.method))} if cell.off_recipe else set()
    found = [check for check in compare(row_of(cell), settings_of(method, request)) if not check.ok]
    if cell.off_recipe:
        allowed |= {"timesteps"} if allowed & {"steps", "scheduler", "timestep_spacing"} else set()
    if unforeseen := [check for check in found if check.name not in allowed]:
        raise FewstepError(f"off its recipe: {unforeseen[0].line}")
    return [check.line for check in found]
