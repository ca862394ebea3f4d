"""Step distillation in which student and teacher are both guided before they are compared.

Li et al., "SnapFusion", arXiv 2306.00980, section 4; its step distillation is that of Salimans and Ho, arXiv
2202.00512.

paper                      here
w                          guidance scale, in diffusers' sense: w x0_cond - (w - 1) x0_uncond
L_vani_dstl                the loss at scale 1, where the null condition drops out
L_cfg_dstl                 the loss at a scale that is uniform over recipe.guidance_scales
p                          recipe.guided_share, of the images that have the second
L_ori, gamma               the denoising loss on real images, recipe.denoising_weight
x-hat (the target)         methods.diffusion.halving

A student that matches its teacher without guidance need not match it under guidance: the error of the two predictions
is multiplied when they are pulled apart. So both are guided first, and the gradient passes through both of the
student's predictions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from methods.diffusion.ddim import ddim_step
from methods.diffusion.halving import Weighting, first_share, loss_weight
from methods.diffusion.prediction import target
from methods.diffusion.schedule import CLEAN
from methods.diffusion.timesteps import trailing_timesteps
from methods.distill.denoiser import Condition, Denoiser
from methods.distill.draws import Draws
from methods.distill.objective import Batch, Objective


@dataclass(frozen=True)
class CfgAwareRecipe:
    """Above the line what the paper gives, below it what we chose.

    Given by the paper:
        student_steps: 8, from a teacher of 16.
        guidance_scales: lowest and highest scale of the guided loss, 2 to 14 for its SD.
        weighting: of the squared error in x0, max(SNR, 1).

    Ours:
        guided_share: of the images that have the guided loss; the others have the one without guidance, as the paper
            mixes both at random.
        denoising_weight: of the denoising loss on real images; the paper balances it as the training goes.
    """

    student_steps: int = 8
    guidance_scales: tuple[float, float] = (2.0, 14.0)
    weighting: Weighting = "truncated-snr"

    guided_share: float = 0.5
    denoising_weight: float = 0.1

    def __post_init__(self) -> None:
        """Raises ValueError for a choice that is not one."""
        if self.student_steps < 1:
            raise ValueError(f"student_steps must be 1 or more, got {self.student_steps}")
        if not 1 <= self.guidance_scales[0] <= self.guidance_scales[1]:
            raise ValueError(f"guidance_scales must be (low, high) with 1 <= low <= high, got {self.guidance_scales}")
        if not 0 <= self.guided_share <= 1:
            raise ValueError(f"guided_share must be in 0..1, got {self.guided_share}")
        if self.denoising_weight < 0:
            raise ValueError(f"denoising_weight must be 0 or more, got {self.denoising_weight}")


class CfgAwareObjective(Objective):
    """Batches hold "latents" (N, C, H, W), scaled, and "condition", a `Condition`."""

    def __init__(self, student: Denoiser, teacher: Denoiser, recipe: CfgAwareRecipe) -> None:
        self.student, self.teacher, self.recipe = student, teacher, recipe
        grid = trailing_timesteps(2 * recipe.student_steps, len(teacher.schedule))
        self.points = torch.tensor([*grid, CLEAN])

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        return {"student": self.student.unet}

    def losses(self, network: str, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        x0, condition = batch["latents"], batch["condition"]
        terms = {"distill": self._distillation(x0, condition, draws)}
        if self.recipe.denoising_weight:
            terms["denoising"] = self.recipe.denoising_weight * self._denoising(x0, condition, draws)
        return terms

    def _distillation(self, x0: Tensor, condition: Condition, draws: Draws) -> Tensor:
        """The weighted error in x0, both sides guided at the scale of the image."""
        interval = (draws.stratified(len(x0)) * self.recipe.student_steps).long().to(x0.device)
        start = self.points.to(x0.device)[2 * interval]
        x_t = self.teacher.schedule.add_noise(x0, draws.normal(*x0.shape).to(x0), start)
        scales = self.scales(len(x0), draws).to(x0).view(-1, 1, 1, 1)
        wanted = self.target(x_t, interval, condition, scales)
        output = self.student.guided_output(x_t, start, condition, scales)
        predicted, _ = self.student.split(output, x_t, start)
        weight = loss_weight(self.recipe.weighting, *self.teacher.schedule.at(start, x_t))
        return (weight * (predicted - wanted).square()).mean()

    def _denoising(self, x0: Tensor, condition: Condition, draws: Draws) -> Tensor:
        """The student's error on real images at every noise level, in what it predicts."""
        schedule = self.student.schedule
        t = (draws.stratified(len(x0)) * len(schedule)).long().to(x0.device)
        eps = draws.normal(*x0.shape).to(x0)
        alpha, sigma = schedule.at(t, x0)
        wanted = target(self.student.prediction_type, x0, eps, alpha, sigma)
        return (self.student.output(alpha * x0 + sigma * eps, t, condition) - wanted).square().mean()

    def scales(self, n: int, draws: Draws) -> Tensor:
        """Guidance scales (n,): 1 without guidance, in the range with it."""
        low, high = self.recipe.guidance_scales
        guided = draws.uniform(n) < self.recipe.guided_share
        within = low + (high - low) * draws.uniform(n)
        return torch.where(guided, within, torch.ones_like(within))

    @torch.no_grad()
    def target(self, x_t: Tensor, interval: Tensor, condition: Condition, scales: Tensor) -> Tensor:
        """The x0 (N, C, H, W) from which one guided DDIM step lands where two of the teacher land.

        Args:
            x_t: (N, C, H, W), noisy latents at the first timestep of their interval.
            interval: int64 (N,), 0..student_steps - 1: which step of the student, the noisiest being 0.
            condition: Of N images.
            scales: (N, 1, 1, 1), of both steps.
        """
        start, middle, end = (self.points.to(x_t.device)[2 * interval + k] for k in range(3))
        first_x0, first_eps = self.teacher.guided(x_t, start, condition, scales)
        x_middle = ddim_step(self.teacher.schedule, first_x0, first_eps, middle)
        second_x0, _ = self.teacher.guided(x_middle, middle, condition, scales)
        return torch.lerp(second_x0, first_x0, first_share(self.teacher.schedule, start, middle, end, x_t))
