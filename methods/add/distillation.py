"""The score distillation loss of ADD. Sauer et al., arXiv 2311.17042, section 3.3.

    paper                      here
    x-hat_theta                x0_student (latents) and its decoded pixels
    x-hat_theta,t              x_t: the student's sample under fresh noise, detached
    x-hat_psi(x-hat_theta,t)   x0_teacher
    c(t)                       distillation_weight
    d(x, y) = |x - y|^2        the mean squared pixel error times recipe.distance_scale

Score distillation sampling (Poole et al., arXiv 2209.14988): with c(t) = alpha_t / (2 sigma_t) w(t) the gradient by the
sample is w(t) (eps_teacher - eps), since x0_student - x0_teacher = sigma_t / alpha_t (eps_teacher - eps).

Noise-free score distillation (Katzir et al., arXiv 2310.17590, section 4) keeps c(t) and changes the noise estimate, so
that the same gradient is w(t) (delta_D + s delta_C):

    delta_C                    eps_cond - eps_null, and s is recipe.teacher_guidance
    delta_D                    eps_null at t < 200, eps_null - eps_negative elsewhere
"""

from __future__ import annotations

import torch
from torch import Tensor

from methods.add.recipe import AddRecipe
from methods.diffusion.ddim import ddim_step
from methods.distill.denoiser import Condition, Denoiser


def distillation_weight(recipe: AddRecipe, alpha: Tensor, sigma: Tensor) -> Tensor:
    """c(t) where the schedule has `alpha` and `sigma`, in their shape."""
    if recipe.weighting == "exponential":
        return alpha
    w = sigma.square() if recipe.score_weight == "sigma-squared" else torch.ones_like(sigma)
    return alpha / (2 * sigma) * w


@torch.no_grad()
def teacher_target(
    teacher: Denoiser,
    x0_student: Tensor,
    eps: Tensor,
    timesteps: Tensor,
    condition: Condition,
    negative: Condition,
    recipe: AddRecipe,
) -> Tensor:
    """x0_teacher (N, C, H, W): what the student's sample, re-noised by `eps` to `timesteps` (N,), should have been.

    Args:
        teacher: Frozen; no gradient passes.
        x0_student: The student's sample, scaled latents.
        eps: Standard normal noise like it.
        timesteps: One an image.
        condition: Of the images.
        negative: A condition an image that "nfsd" pushes away from; no other weighting reads it.
        recipe: Guidance, weighting, number of consecutive steps.
    """
    x_t = teacher.schedule.add_noise(x0_student, eps, timesteps)
    if recipe.weighting == "nfsd":
        estimate = eps + noise_free_score(teacher, x_t, timesteps, condition, negative, recipe)
        alpha, sigma = teacher.schedule.at(timesteps, x_t)
        return (x_t - sigma * estimate) / alpha
    start = timesteps
    for step in range(1, recipe.teacher_steps + 1):
        x0, eps_teacher = teacher.guided(x_t, timesteps, condition, recipe.teacher_guidance)
        if step < recipe.teacher_steps:
            timesteps = start * (recipe.teacher_steps - step) // recipe.teacher_steps
            x_t = ddim_step(teacher.schedule, x0, eps_teacher, timesteps)
    return x0


@torch.no_grad()
def noise_free_score(
    teacher: Denoiser, x_t: Tensor, timesteps: Tensor, condition: Condition, negative: Condition, recipe: AddRecipe
) -> Tensor:
    """delta_D + s delta_C like `x_t`, all three passes in one batch."""
    both = condition.null().with_(condition).with_(negative)
    repeated = torch.cat([x_t] * 3), torch.cat([timesteps] * 3)
    _, eps = teacher.split(teacher.output(*repeated, both), *repeated)
    null, cond, unwanted = eps.chunk(3)
    clean = (timesteps < recipe.negative_below).view(-1, *([1] * (x_t.ndim - 1)))
    domain = torch.where(clean, null, null - unwanted)
    return domain + recipe.teacher_guidance * (cond - null)


def weighted_distance(student: Tensor, teacher: Tensor, weight: Tensor, scale: float) -> Tensor:
    """The mean over images of c(t) d: `student` and `teacher` are pixels (N, ...), `weight` (N,)."""
    squared = (student - teacher).square().flatten(1).mean(dim=1)
    return scale * (weight.flatten() * squared).mean()
