"""The boundary condition of a consistency model: at timestep 0 it returns its input.

Luo et al., "Latent Consistency Models", arXiv 2310.04378; the constants are those of the released checkpoints, as
diffusers' `LCMScheduler` has them.

    paper           here
    c_skip(t)       c_skip
    c_out(t)        c_out
    sigma_data      sigma_data
"""

from __future__ import annotations

import torch
from torch import Tensor

from methods.diffusion.schedule import per_sample

SIGMA_DATA = 0.5
TIMESTEP_SCALING = 10.0


def boundary_scalings(
    timesteps: Tensor | int, like: Tensor, sigma_data: float = SIGMA_DATA, timestep_scaling: float = TIMESTEP_SCALING
) -> tuple[Tensor, Tensor]:
    """(c_skip, c_out) of `f(x_t, t) = c_skip x_t + c_out x0`, shaped to broadcast over `like` (N, ...).

    Args:
        timesteps: One integer 0..T-1, or an integer tensor (N,).
        like: The latents, whose dtype and device the scalings take.
        sigma_data: Standard deviation that the data are taken to have.
        timestep_scaling: Timesteps count this many times; higher is closer to the identity on timestep 0 alone.
    """
    scaled = torch.as_tensor(timesteps).to(torch.float64) * timestep_scaling
    total = scaled**2 + sigma_data**2
    return per_sample(sigma_data**2 / total, like), per_sample(scaled / total.sqrt(), like)
