"""Timesteps and boundary scalings against diffusers, for every step count."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, LCMScheduler

from methods.diffusion.boundary import boundary_scalings
from methods.diffusion.timesteps import consistency_grid, consistency_timesteps, trailing_timesteps


def _diffusers_trailing(steps: int) -> list[int]:
    scheduler = DDIMScheduler(timestep_spacing="trailing")
    scheduler.set_timesteps(steps)
    return [int(t) for t in scheduler.timesteps]


@pytest.mark.parametrize("steps", range(1, 48))
def test_trailing_spacing_is_that_of_diffusers(steps: int) -> None:
    euler = EulerDiscreteScheduler(timestep_spacing="trailing")
    euler.set_timesteps(steps)
    assert list(trailing_timesteps(steps)) == _diffusers_trailing(steps) == [int(t) for t in euler.timesteps]


def test_trailing_spacing_departs_from_diffusers_only_where_floating_point_fails() -> None:
    too_long = []
    for steps in range(48, 1001):
        ours, theirs = trailing_timesteps(steps), _diffusers_trailing(steps)
        if len(theirs) != steps:
            too_long.append(steps)
            assert theirs[steps:] == [-1]
        for i, (mine, other) in enumerate(zip(ours, theirs, strict=False)):
            assert mine == other or (abs(mine - other) == 1 and 2 * (steps - i) * 1000 % (2 * steps) == steps)
    assert too_long[0] == 61  # a 62nd evaluation at timestep -1 in diffusers: the reason for integers here


@pytest.mark.parametrize("steps", [22, 44])
def test_a_floored_floating_point_grid_would_be_wrong(steps: int) -> None:
    step = 1000 / steps
    floored = [math.floor(1000 - i * step) - 1 for i in range(steps)]
    assert floored != list(trailing_timesteps(steps)) == _diffusers_trailing(steps)


def test_trailing_spacing_starts_at_the_noisiest_and_falls() -> None:
    for steps in range(1, 1001):
        grid = trailing_timesteps(steps)
        assert len(grid) == steps
        assert grid[0] == 999
        assert grid[-1] >= 0
        assert all(a > b for a, b in itertools.pairwise(grid))


@pytest.mark.parametrize("steps", range(1, 51))
def test_consistency_timesteps_are_those_of_diffusers(steps: int) -> None:
    scheduler = LCMScheduler(original_inference_steps=50)
    scheduler.set_timesteps(steps)
    assert list(consistency_timesteps(steps)) == scheduler.timesteps.tolist()
    assert set(consistency_timesteps(steps)) <= set(consistency_grid())


def test_consistency_timesteps_are_not_evenly_spaced_over_the_schedule() -> None:
    assert consistency_timesteps(4) != trailing_timesteps(4)  # 999, 759, 499, 259: floored on the 50-point grid


@pytest.mark.parametrize("steps", [0, -1, 51])
def test_step_counts_outside_the_grid_are_refused(steps: int) -> None:
    with pytest.raises(ValueError, match=f"1 to 50, got {steps}"):
        consistency_timesteps(steps)


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_trailing_step_counts_outside_the_schedule_are_refused(steps: int) -> None:
    with pytest.raises(ValueError, match=f"1 to 1000, got {steps}"):
        trailing_timesteps(steps)


def test_boundary_scalings_are_those_of_diffusers() -> None:
    scheduler = LCMScheduler()
    timesteps = torch.arange(1000)
    like = torch.zeros(1000, 1, 1, 1, dtype=torch.float64)
    c_skip, c_out = boundary_scalings(timesteps, like)
    expected = [scheduler.get_scalings_for_boundary_condition_discrete(t) for t in range(1000)]
    assert c_skip.flatten().tolist() == pytest.approx([skip for skip, _ in expected], rel=1e-12)
    assert c_out.flatten().tolist() == pytest.approx([out for _, out in expected], rel=1e-12)


def test_the_boundary_is_the_identity_at_timestep_zero_only() -> None:
    c_skip, c_out = boundary_scalings(torch.tensor([0, 1]), torch.zeros(2, 1))
    assert (c_skip[0].item(), c_out[0].item()) == (1.0, 0.0)
    assert c_skip[1] < 0.01
    assert c_out[1] > 0.99
    assert boundary_scalings(0, torch.zeros(2, 1))[0].item() == 1.0


def test_the_boundary_depends_on_the_timestep_scaling() -> None:
    like = torch.zeros(1)
    assert boundary_scalings(1, like)[0] != boundary_scalings(1, like, timestep_scaling=1.0)[0]
