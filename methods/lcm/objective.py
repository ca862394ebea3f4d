"""Latent consistency distillation. Luo et al., "Latent Consistency Models", arXiv 2310.04378.

paper                    here
theta, theta^-           student, target (an exponential moving average)
omega in [min, max]      w, embedded in the UNet; guidance_scale = w + 1
k                        the skipping step, from one grid point to the next
Psi (DDIM)               ddim_step on the guided teacher's x0 and eps
f_theta                  consistency_function: c_skip x_t + c_out x0
d                        pseudo-Huber distance, as diffusers' training example offers it beside the squared one
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from methods.diffusion.boundary import boundary_scalings
from methods.diffusion.ddim import ddim_step
from methods.diffusion.timesteps import consistency_grid
from methods.distill.denoiser import Condition, Denoiser
from methods.distill.draws import Draws
from methods.distill.ema import frozen_copy, update_ema
from methods.distill.objective import Batch, Objective


@dataclass(frozen=True)
class LcmRecipe:
    """The published recipe's choices; `w_min` and `w_max` are guidance weights (guidance_scale - 1)."""

    original_inference_steps: int = 50
    w_min: float = 1.0
    w_max: float = 4.0
    ema_decay: float = 0.95
    huber_c: float = 0.001
    loss: str = "huber"


class LcmObjective(Objective):
    """Batches hold "latents" (N, C, H, W), scaled, and "condition", a `Condition`."""

    def __init__(self, student: Denoiser, teacher: Denoiser, recipe: LcmRecipe) -> None:
        self.student, self.teacher, self.recipe = student, teacher, recipe
        self.target = Denoiser(frozen_copy(student.unet), student.schedule, student.prediction_type)
        self.grid = torch.tensor(consistency_grid(recipe.original_inference_steps, len(teacher.schedule)))

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        return {"student": self.student.unet}

    @property
    def followers(self) -> Mapping[str, nn.Module]:
        return {"target": self.target.unet}

    def losses(self, network: str, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        x0, condition = batch["latents"], batch["condition"]
        n = len(x0)
        start = self.grid[draws.integers(0, len(self.grid), n)]
        w = self.recipe.w_min + (self.recipe.w_max - self.recipe.w_min) * draws.uniform(n)
        x_start = self.teacher.schedule.add_noise(x0, draws.normal(*x0.shape), start)
        end, x_end = self.solver_step(x_start, start, condition, w)
        predicted = consistency_function(self.student, x_start, start, condition, w)
        with torch.no_grad():
            wanted = consistency_function(self.target, x_end, end, condition, w)
        return {"consistency": self._distance(predicted, wanted)}

    def solver_step(self, x_start: Tensor, start: Tensor, condition: Condition, w: Tensor) -> tuple[Tensor, Tensor]:
        """One guided DDIM step of the teacher down the grid: (timesteps, latents) it arrives at."""
        skip = len(self.teacher.schedule) // self.recipe.original_inference_steps
        end = (start - skip).clamp_min(0)
        x0, eps = self.teacher.guided(x_start, start, condition, (w + 1).view(-1, 1, 1, 1))
        return end, ddim_step(self.teacher.schedule, x0, eps, end)

    def after_step(self, step: int) -> None:
        update_ema(self.target.unet, self.student.unet, self.recipe.ema_decay)

    def _distance(self, predicted: Tensor, wanted: Tensor) -> Tensor:
        difference = predicted - wanted
        if self.recipe.loss == "l2":
            return difference.square().mean()
        c = self.recipe.huber_c
        return ((difference.square() + c**2).sqrt() - c).mean()


def consistency_function(denoiser: Denoiser, x_t: Tensor, timesteps: Tensor, condition: Condition, w: Tensor) -> Tensor:
    """f(x_t, w, c, t), the identity at timestep 0, x0 elsewhere."""
    c_skip, c_out = boundary_scalings(timesteps, x_t)
    return c_skip * x_t + c_out * denoiser.x0(x_t, timesteps, condition, w)
