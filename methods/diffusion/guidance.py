"""Classifier-free guidance in one convention: `guidance_scale` is diffusers' (1.0 is none), `w = guidance_scale - 1`.

Ho and Salimans, "Classifier-Free Diffusion Guidance", arXiv 2207.12598, which writes w.

    paper   here
    w       guidance_weight(guidance_scale)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from methods.diffusion.scale import NO_GUIDANCE, normalise

__all__ = ["NO_GUIDANCE", "combine", "guidance_embedding", "guidance_weight", "normalise"]


def guidance_weight(guidance_scale: float) -> float:
    """`w`, what an embedded guidance is given: 0.0 is none. The one place where the two conventions meet."""
    return normalise(guidance_scale) - NO_GUIDANCE


def combine(uncond: Tensor, cond: Tensor, guidance_scale: Tensor | float) -> Tensor:
    """`uncond + guidance_scale (cond - uncond)`, of two predictions (N, ...) of any one type.

    `guidance_scale` is a number, or a tensor that broadcasts over the predictions.
    """
    return uncond + guidance_scale * (cond - uncond)


def guidance_embedding(w: Tensor, dim: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Sines and cosines of w (N,) -> (N, dim), as the stock SDXL pipeline feeds `unet(timestep_cond=...)`.

    Args:
        w: `guidance_scale - 1`, one an image.
        dim: The UNet's `time_cond_proj_dim`.
        dtype: Of the result, and of the angles as well.
    """
    half = dim // 2
    frequencies = torch.exp(torch.arange(half, dtype=dtype, device=w.device) * -(math.log(10_000.0) / (half - 1)))
    angles = (1000.0 * w).to(dtype)[:, None] * frequencies
    embedding = torch.cat([angles.sin(), angles.cos()], dim=1)
    return torch.nn.functional.pad(embedding, (0, dim % 2))
