"""Latent consistency distillation. Luo et al., "Latent Consistency Models", arXiv 2310.04378.

paper                    here
theta, theta^-           student, target (an exponential moving average)
omega in [min, max]      w, embedded in the UNet; guidance_scale = w + 1; fixed for a UNet without an input for it
k                        the skipping step, from one grid point to the next
Psi (DDIM)               ddim_step on the guided teacher's x0 and eps
f_theta                  consistency_function: c_skip x_t + c_out x0
d                        pseudo-Huber distance, as diffusers' training example offers it beside the squared one

LCM-LoRA (Luo et al., "LCM-LoRA: A Universal Stable-Diffusion Acceleration Module", arXiv 2311.05556) is this objective
on a UNet with an adapter: only the adapter learns, the target averages only the adapter, and w is fixed.
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
from methods.distill.lora import what_learns
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
    """Batches hold "latents" (N, C, H, W), scaled, and "condition", a `Condition`.

    Raises:
        ValueError: for a range of w and a student that cannot be told which.
    """

    def __init__(self, student: Denoiser, teacher: Denoiser, recipe: LcmRecipe) -> None:
        self.student, self.teacher, self.recipe = student, teacher, recipe
        self.embeds_w = student.unet.config.time_cond_proj_dim is not None
        if not self.embeds_w and recipe.w_min != recipe.w_max:
            raise ValueError("a UNet without time_cond_proj_dim learns one guidance weight; set w_min and w_max to it")
        self.target = Denoiser(frozen_copy(student.unet), student.schedule, student.prediction_type)
        self.learner, self.follower = what_learns(student.unet), what_learns(self.target.unet)
        self.grid = torch.tensor(consistency_grid(recipe.original_inference_steps, len(teacher.schedule)))

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        return {"student": self.learner}

    @property
    def followers(self) -> Mapping[str, nn.Module]:
        return {"target": self.follower}

    def losses(self, network: str, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        x0, condition = batch["latents"], batch["condition"]
        n = len(x0)
        start = self.grid[draws.integers(0, len(self.grid), n)]
        w = self.recipe.w_min + (self.recipe.w_max - self.recipe.w_min) * draws.uniform(n)
        x_start = self.teacher.schedule.add_noise(x0, draws.normal(*x0.shape), start)
        end, x_end = self.solver_step(x_start, start, condition, w)
        told = w if self.embeds_w else None
        predicted = consistency_function(self.student, x_start, start, condition, told)
        with torch.no_grad():
            wanted = consistency_function(self.target, x_end, end, condition, told)
        return {"consistency": self._distance(predicted, wanted)}

    def solver_step(self, x_start: Tensor, start: Tensor, condition: Condition, w: Tensor) -> tuple[Tensor, Tensor]:
        """One guided DDIM step of the teacher down the grid: (timesteps, latents) it arrives at."""
        skip = len(self.teacher.schedule) // self.recipe.original_inference_steps
        end = (start - skip).clamp_min(0)
        x0, eps = self.teacher.guided(x_start, start, condition, (w + 1).view(-1, 1, 1, 1))
        return end, ddim_step(self.teacher.schedule, x0, eps, end)

    def after_step(self, step: int) -> None:
        update_ema(self.follower, self.learner, self.recipe.ema_decay)

    def _distance(self, predicted: Tensor, wanted: Tensor) -> Tensor:
        difference = predicted - wanted
        if self.recipe.loss == "l2":
            return difference.square().mean()
        c = self.recipe.huber_c
        return ((difference.square() + c**2).sqrt() - c).mean()


def consistency_function(
    denoiser: Denoiser, x_t: Tensor, timesteps: Tensor, condition: Condition, w: Tensor | None
) -> Tensor:
    """f(x_t, w, c, t), the identity at timestep 0, x0 elsewhere; `w` None for a UNet that learns one w alone."""
    c_skip, c_out = boundary_scalings(timesteps, x_t)
    return c_skip * x_t + c_out * denoiser.x0(x_t, timesteps, condition, w)
