"""The sampler of Stability AI's demo of SDXL-Turbo and SD-Turbo: ancestral Euler on four fixed noise levels.

Read in Stability-AI/generative-models, scripts/demo/turbo.py (`SubstepSampler`) and sgm's `EulerAncestralSampler`:

    theirs                                    here
    steps_subset [0, 100, 200, 300]           SUBSET, places in the 1,000 noise levels, the highest first
    x *= sqrt(1 + sigmas[0]^2)                init_noise_sigma
    eta = 1.0                                 the ancestral step of diffusers, which has no other
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import EulerAncestralDiscreteScheduler
from torch import Tensor

SUBSET = (0, 100, 200, 300)


class TurboDemoScheduler(EulerAncestralDiscreteScheduler):  # type: ignore[misc]
    """Timesteps 999, 899, 799, 699, of which the first n are used; the last step goes to zero noise."""

    def set_timesteps(self, num_inference_steps: int, device: str | torch.device | None = None) -> None:
        """Take the first `num_inference_steps` levels.

        Raises:
            ValueError: for fewer than 1 or more than 4 steps.
        """
        if not 1 <= num_inference_steps <= len(SUBSET):
            raise ValueError(f"the demo's sampler takes 1 to {len(SUBSET)} steps, got {num_inference_steps}")
        self.num_inference_steps = num_inference_steps
        last = self.config.num_train_timesteps - 1
        timesteps = torch.tensor([last - place for place in SUBSET[:num_inference_steps]])
        alphas_cumprod = self.alphas_cumprod.double()[timesteps]
        sigmas = ((1 - alphas_cumprod) / alphas_cumprod).sqrt().float()
        self.sigmas = torch.cat([sigmas, sigmas.new_zeros(1)]).cpu()
        self.timesteps = timesteps.to(device=device, dtype=torch.float32)
        self._step_index: Any = None
        self._begin_index: Any = None

    @property
    def init_noise_sigma(self) -> Tensor:
        """`sqrt(1 + sigma^2)` of the highest level; diffusers' trailing spacing has `sigma`."""
        return (self.sigmas.max() ** 2 + 1) ** 0.5
