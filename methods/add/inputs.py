"""What ADD's student is given: its timesteps, and real latents under their noise. arXiv 2311.17042, section 3."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.add.recipe import AddRecipe
from methods.diffusion.schedule import Schedule
from methods.distill.draws import Draws


def student_timesteps(recipe: AddRecipe, n: int, draws: Draws) -> Tensor:
    """s (n,), uniform over the recipe's student timesteps."""
    taus = torch.tensor(recipe.student_timesteps)
    return taus[draws.integers(0, len(taus), n)]


def student_input(schedule: Schedule, recipe: AddRecipe, x0: Tensor, eps: Tensor, s: Tensor) -> Tensor:
    """x_s: real latents under noise at `s` (N,); at T without the data, where the recipe says so."""
    if recipe.terminal_input == "noise":
        last = s == len(schedule) - 1
        x0 = torch.where(last.view(-1, *([1] * (x0.ndim - 1))), torch.zeros_like(x0), x0)
    return schedule.add_noise(x0, eps, s)
