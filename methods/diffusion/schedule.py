"""The noise schedule: alpha and sigma of every timestep.

Zero terminal SNR: Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed", arXiv 2305.08891,
algorithm 1.

    paper                 here
    sqrt(alpha-bar_t)     alpha
    sqrt(1 - alpha-bar)   sigma
    beta_t                betas
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

CLEAN = -1
"""The timestep before 0: no noise at all, alpha 1 and sigma 0. A sampler ends there."""


@dataclass(frozen=True)
class Schedule:
    """`x_t = alpha x0 + sigma eps` with `alpha^2 + sigma^2 = 1`: float64 tensors (T,), timestep 0 the cleanest."""

    alpha: Tensor
    sigma: Tensor

    @classmethod
    def from_scheduler_config(cls, config: Mapping[str, Any]) -> Self:
        """The schedule that a diffusers scheduler of this config has.

        Raises:
            ValueError: for a `beta_schedule` that is not known here.
        """
        betas = _betas(config)
        alpha_bar_sqrt = torch.cumprod(1 - betas, dim=0).sqrt()
        if config.get("rescale_betas_zero_snr", False):
            alpha_bar_sqrt = rescale_to_zero_terminal_snr(alpha_bar_sqrt)
        return cls(alpha=alpha_bar_sqrt, sigma=(1 - alpha_bar_sqrt**2).sqrt())

    def __len__(self) -> int:
        return self.alpha.numel()

    @property
    def zero_terminal_snr(self) -> bool:
        """Whether the last timestep is noise alone."""
        return bool(self.alpha[-1] == 0)

    def at(self, timesteps: Tensor | int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Alpha and sigma at `timesteps`, shaped to broadcast over `like`, in its dtype and on its device.

        Args:
            timesteps: One integer, or an integer tensor (N,) with one an image. `CLEAN` (-1) gives 1 and 0.
            like: (N, ...), usually the latents.

        Raises:
            IndexError: for a timestep outside -1 .. T-1.
            TypeError: for timesteps that are not integers (a timestep is never an index into a grid, nor a fraction).
        """
        steps = torch.as_tensor(timesteps, device=self.alpha.device)
        if steps.is_floating_point():
            raise TypeError("timesteps must be integers 0..T-1")
        if steps.numel() and not CLEAN <= int(steps.min()) <= int(steps.max()) < len(self):
            raise IndexError(f"timesteps must lie in {CLEAN} .. {len(self) - 1}, got {steps.tolist()}")
        clean, row = steps == CLEAN, steps.clamp(min=0)
        alpha = torch.where(clean, 1.0, self.alpha[row])
        sigma = torch.where(clean, 0.0, self.sigma[row])
        return per_sample(alpha, like), per_sample(sigma, like)

    def add_noise(self, x0: Tensor, eps: Tensor, timesteps: Tensor | int) -> Tensor:
        """`x_t` (N, ...): `x0` (N, ...) under noise `eps` (N, ...) at one timestep or one an image."""
        alpha, sigma = self.at(timesteps, x0)
        return alpha * x0 + sigma * eps


def rescale_to_zero_terminal_snr(alpha_bar_sqrt: Tensor) -> Tensor:
    """Shift the last value to zero and scale the first back to what it was (arXiv 2305.08891, algorithm 1)."""
    first, last = alpha_bar_sqrt[0], alpha_bar_sqrt[-1]
    return (alpha_bar_sqrt - last) * (first / (first - last))


def per_sample(values: Tensor, like: Tensor) -> Tensor:
    """A scalar or (N,) as (), or (N, 1, ..., 1), in the dtype and on the device of `like` (N, ...)."""
    values = values.to(dtype=like.dtype, device=like.device)
    return values.reshape(-1, *([1] * (like.ndim - 1))) if values.ndim else values


def _betas(config: Mapping[str, Any]) -> Tensor:
    """float64 (T,), before any rescaling."""
    if (trained := config.get("trained_betas")) is not None:
        return torch.as_tensor(trained, dtype=torch.float64)
    kind = config.get("beta_schedule", "linear")
    power = {"linear": 1.0, "scaled_linear": 0.5}.get(kind)
    if power is None:
        raise ValueError(f"beta_schedule {kind!r} is not known; use 'linear', 'scaled_linear' or trained_betas")
    start, end = float(config["beta_start"]) ** power, float(config["beta_end"]) ** power
    return torch.linspace(start, end, int(config["num_train_timesteps"]), dtype=torch.float64) ** (1 / power)
