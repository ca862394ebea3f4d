"""The deterministic DDIM step.

Song et al., "Denoising Diffusion Implicit Models", arXiv 2010.02502.

    paper                     here
    sqrt(alpha_t)             alpha of the timestep we leave
    sqrt(alpha_{t-1})         alpha of the timestep we go to (any, not only the neighbour)
    sigma_t                   0 (deterministic); sigma here is sqrt(1 - alpha_t)
"""

from __future__ import annotations

from torch import Tensor

from methods.diffusion.schedule import Schedule


def ddim_step(schedule: Schedule, x0: Tensor, eps: Tensor, to_timesteps: Tensor | int) -> Tensor:
    """The noisy latents at `to_timesteps`: equation 12 with sigma_t = 0.

    Args:
        schedule: Of the model that predicted.
        x0: (N, ...), predicted at a noisier timestep.
        eps: (N, ...), predicted there too.
        to_timesteps: One integer or (N,); `CLEAN` (-1) gives x0 itself.
    """
    return schedule.add_noise(x0, eps, to_timesteps)
