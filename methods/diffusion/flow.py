"""Rectified flow: straight lines between noise and data, in diffusers' convention.

Liu et al., "Flow Straight and Fast", arXiv 2209.03003, section 2, whose time runs from noise to data; here it runs from
data to noise, as `DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True)` has it.

    paper                       here
    X_0, X_1                    noise eps, data x0
    1 - t                       sigma, timestep / T
    X_t = t X_1 + (1 - t) X_0   interpolate: (1 - sigma) x0 + sigma eps
    v(X_t, t) = X_1 - X_0       minus velocity: eps - x0 points to the noise
"""

from __future__ import annotations

import torch
from torch import Tensor

from methods.diffusion.schedule import per_sample


def flow_sigma(timesteps: Tensor | int, num_train_timesteps: int, like: Tensor) -> Tensor:
    """`timesteps / T`, shaped to broadcast over `like` (N, ...), in its dtype and on its device.

    Args:
        timesteps: One integer 0..T-1, or an integer tensor (N,).
        num_train_timesteps: T.
        like: The latents.

    Raises:
        TypeError: for timesteps that are not integers, which is what the network is given.
    """
    steps = torch.as_tensor(timesteps)
    if steps.is_floating_point():
        raise TypeError("timesteps must be integers 0..T-1")
    return per_sample(steps.double() / num_train_timesteps, like)


def interpolate(x0: Tensor, eps: Tensor, sigma: Tensor) -> Tensor:
    """The point (N, ...) on the line from `x0` (sigma 0) to `eps` (sigma 1)."""
    return (1 - sigma) * x0 + sigma * eps


def flow_velocity(x0: Tensor, eps: Tensor) -> Tensor:
    """What a flow predicts: `eps - x0`, the same along the whole line."""
    return eps - x0


def flow_x0(x_t: Tensor, velocity: Tensor, sigma: Tensor) -> Tensor:
    """Where the line from `x_t` along `velocity` ends: `x_t - sigma velocity`."""
    return x_t - sigma * velocity
