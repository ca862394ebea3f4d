"""Every row of the table on a checkpoint of its layout: loaded, guarded, sampled; what the denoiser saw is compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import cos, sin
from typing import Any

import pytest
import torch
from torch import Tensor

from methods.checkpoints.families import FAMILIES
from methods.checkpoints.guard import compare
from methods.checkpoints.spacing import expected_timesteps
from methods.checkpoints.table import Checkpoint
from methods.interface import SampleRequest
from methods.released import Released, load_released, released_method, settings_of
from tests.released.rows import RUNNING, Folders, name_of, small

CPU = torch.device("cpu")
PROMPTS = ("a red circle", "a blue square")


@dataclass
class Watch:
    """What the denoiser was called with."""

    timesteps: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)

    def __call__(self, _module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = kwargs.get("timestep", args[1] if len(args) > 1 else None)
        self.timesteps.append(float(torch.as_tensor(given).flatten()[0]))
        first = next(value for value in (*args, *kwargs.values()) if isinstance(value, Tensor) and value.ndim > 2)
        self.rows.append(len(first))


def request_of(row: Checkpoint, steps: int) -> SampleRequest:
    return SampleRequest(PROMPTS, (3, 5), steps)


def watched(method: Released, request: SampleRequest) -> tuple[Watch, Tensor]:
    watch = Watch()
    handle = method.components["denoiser"].register_forward_pre_hook(watch, with_kwargs=True)
    try:
        return watch, method.sample(request)
    finally:
        handle.remove()


def fed(row: Checkpoint, timesteps: tuple[float, ...]) -> list[float]:
    """What each pipeline makes of its timesteps before the denoiser: FLUX a share of 1, SANA a ratio of its angle."""
    if row.family == "flux":
        return [t / 1000 for t in timesteps]
    if row.family == "sana":
        return [sin(t) / (cos(t) + sin(t)) for t in timesteps]
    return list(timesteps)


def counts_of(row: Checkpoint) -> tuple[int, ...]:
    """The published step counts; undistilled models at fewer, which take as long each."""
    return (4,) if max(row.steps) == 50 else row.steps


PIPES: dict[Any, Any] = {}


def method_of(row: Checkpoint, folders: Folders) -> Released:
    """The row's method; the networks of a folder are read once, the recipe is put on for each row."""
    folder = folders.folder(row)
    if folder not in PIPES:
        PIPES[folder] = load_released(row, folder, device=CPU, dtype=torch.float32).pipe
    return released_method(row)(PIPES[folder], row.recipe)


@pytest.mark.parametrize("row", RUNNING, ids=name_of)
def test_a_row_is_loaded_guarded_and_sampled(row: Checkpoint, folders: Folders) -> None:
    row = small(row)
    method = method_of(row, folders)
    for steps in counts_of(row):
        request = request_of(row, steps)
        assert method.unsupported(request) is None
        assert [check.line for check in compare(row, settings_of(method, request)) if not check.ok] == []
        watch, images = watched(method, request)
        assert images.shape == (2, 3, row.recipe.height, row.recipe.width)
        assert images.dtype == torch.uint8
        assert not torch.equal(images[0], images[1])
        guided = row.recipe.guidance == "classifier-free" and row.recipe.guidance_scale > 1
        assert set(watch.rows) == {4 if guided else 2}
        expected = expected_timesteps(row.recipe, steps, down_to_zero=FAMILIES[row.family].gives_sigmas)
        if expected is None:
            assert len(watch.timesteps) == steps + (row.recipe.scheduler == "PNDMScheduler")
        else:
            assert watch.timesteps == pytest.approx(fed(row, expected), rel=1e-5)  # float32
