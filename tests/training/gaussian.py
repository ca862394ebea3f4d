"""Denoisers whose answers are known: the exact one of Gaussian data, and one that is a table of affine maps."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from methods.diffusion.schedule import CLEAN, Schedule
from methods.distill.denoiser import Condition, Denoiser

CONFIG: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
}
SCHEDULE = Schedule.from_scheduler_config(CONFIG)
SHAPE = (2, 2, 2)
MEAN = torch.linspace(-1.5, 2.0, 8, dtype=torch.float64).reshape(SHAPE)
NULL_MEAN = torch.linspace(0.5, -0.5, 8, dtype=torch.float64).reshape(SHAPE)
VARIANCE = torch.linspace(0.05, 3.0, 8, dtype=torch.float64).reshape(SHAPE)
"""Anisotropic: another variance in every coordinate."""


class Known(nn.Module):
    """A network of v-prediction that is given by its x0."""

    def __init__(self) -> None:
        super().__init__()
        self.config = type("Config", (), {"time_cond_proj_dim": None})()

    def x0(self, x_t: Tensor, timesteps: Tensor, pooled: Tensor) -> Tensor:
        raise AssertionError

    def forward(self, x_t: Tensor, timesteps: Tensor, added_cond_kwargs: dict[str, Tensor], **_: Any) -> Any:
        alpha, sigma = SCHEDULE.at(timesteps, x_t)
        x0 = self.x0(x_t, timesteps, added_cond_kwargs["text_embeds"])
        return type("Output", (), {"sample": (alpha * x_t - x0) / sigma})()


class GaussianUNet(Known):
    """The exact denoiser of data N(mean, variance); the null condition has a mean of its own."""

    def __init__(self, mean: Tensor = MEAN, variance: Tensor = VARIANCE, null_mean: Tensor = NULL_MEAN) -> None:
        super().__init__()
        self.mean, self.variance, self.null_mean = mean, variance, null_mean

    def x0(self, x_t: Tensor, timesteps: Tensor, pooled: Tensor) -> Tensor:
        """E[x0 | x_t]; at alpha 0 it is the mean."""
        alpha, sigma = SCHEDULE.at(timesteps, x_t)
        asked = pooled.abs().sum(dim=1).gt(0).view(-1, 1, 1, 1)
        mean = torch.where(asked, self.mean.to(x_t.dtype), self.null_mean.to(x_t.dtype))
        variance = self.variance.to(x_t.dtype)
        return mean + alpha * variance / (alpha**2 * variance + sigma**2) * (x_t - alpha * mean)


class TableUNet(Known):
    """x0 = gain x_t + offset with a pair of numbers for each timestep: what can be learned from Gaussian data."""

    def __init__(self, gain: Tensor, offset: Tensor) -> None:
        super().__init__()
        self.gain, self.offset = nn.Parameter(gain), nn.Parameter(offset)

    def x0(self, x_t: Tensor, timesteps: Tensor, pooled: Tensor) -> Tensor:
        shape = (len(x_t), *self.gain.shape[1:], *[1] * (x_t.ndim - self.gain.ndim))
        return self.gain[timesteps].reshape(shape) * x_t + self.offset[timesteps].reshape(shape)


def denoiser(unet: Any) -> Denoiser:
    return Denoiser(unet, SCHEDULE, "v_prediction")


def condition(n: int) -> Condition:
    """A prompt; its `null()` is told apart by zeros."""
    return Condition(torch.ones(n, 1, 1), torch.ones(n, 1), torch.zeros(n, 6))


def flow_map(x_t: Tensor, start: int, end: int, mean: Tensor = MEAN, variance: Tensor = VARIANCE) -> Tensor:
    """Where the probability flow takes x_t: along the Gaussian's own quantiles."""
    (a_start, s_start), (a_end, s_end) = (SCHEDULE.at(t, x_t) for t in (start, end))
    spread = ((a_end**2 * variance + s_end**2) / (a_start**2 * variance + s_start**2)).sqrt()
    return a_end * mean + spread * (x_t - a_start * mean)


def ddim_affine(start: int, end: int, mean: Tensor = MEAN, variance: Tensor = VARIANCE) -> tuple[Tensor, Tensor]:
    """(gain, offset) of one DDIM step of the exact denoiser from `start` to `end` (`CLEAN` is -1), written out."""
    one = torch.ones((), dtype=torch.float64)
    (a, s), (a_end, s_end) = (SCHEDULE.at(t, one) for t in (start, end))
    total = a**2 * variance + s**2
    # x0 = mean + a variance / total (x - a mean), eps = s / total (x - a mean)
    gain = (a_end * a * variance + s_end * s) / total
    return gain, (a_end - gain * a) * mean


def composed(grid: tuple[int, ...], mean: Tensor = MEAN, variance: Tensor = VARIANCE) -> tuple[Tensor, Tensor]:
    """(gain, offset) of DDIM steps along `grid`, from its first point to its last."""
    gain, offset = torch.ones_like(mean), torch.zeros_like(mean)
    for start, end in pairwise(grid):
        step_gain, step_offset = ddim_affine(start, end, mean, variance)
        gain, offset = step_gain * gain, step_gain * offset + step_offset
    return gain, offset


__all__ = [
    "CLEAN", "CONFIG", "MEAN", "NULL_MEAN", "SCHEDULE", "SHAPE", "VARIANCE", "GaussianUNet", "TableUNet", "composed",
    "condition", "ddim_affine", "denoiser", "flow_map",
]  # fmt: skip
