"""Euler steps along a rectified flow, as InstaFlow's released checkpoints are sampled.

Liu et al., "InstaFlow: One Step is Enough for High-Quality Diffusion-Based Text-to-Image Generation", arXiv 2309.06380;
the sampler was read in gnobitab/InstaFlow, code/pipeline_rf.py.

    theirs                                    here
    timesteps (1 - i/N) 1000, i = 0..N-1      timesteps: floats, the first is 1000, not 999
    latents + dt v, dt = 1/N                  step: from noise towards the image, whatever the timestep
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import SchedulerMixin
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.utils import BaseOutput
from torch import Tensor


@dataclass
class RectifiedFlowOutput(BaseOutput):  # type: ignore[misc]
    """`prev_sample`, the latents after the step."""

    prev_sample: Tensor


class RectifiedFlowScheduler(SchedulerMixin, ConfigMixin):  # type: ignore[misc]
    """The network predicts the velocity `x0 - noise`; `num_train_timesteps` is its scale of time."""

    order = 1
    init_noise_sigma = 1.0

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, num_train_timesteps: int = 1000) -> None:
        self.num_inference_steps: int | None = None
        self.timesteps = torch.tensor([float(num_train_timesteps)])

    def set_timesteps(self, num_inference_steps: int, device: str | torch.device | None = None) -> None:
        """Evenly spaced from the noise on, without the image's own end.

        Raises:
            ValueError: for fewer than 1 step.
        """
        if num_inference_steps < 1:
            raise ValueError(f"the number of steps must be 1 or more, got {num_inference_steps}")
        self.num_inference_steps = num_inference_steps
        times = [(num_inference_steps - i) / num_inference_steps for i in range(num_inference_steps)]
        self.timesteps = torch.tensor(times, device=device) * self.config.num_train_timesteps

    def scale_model_input(self, sample: Tensor, timestep: Any = None) -> Tensor:
        """The latents as they are."""
        return sample

    def step(
        self, model_output: Tensor, timestep: Any, sample: Tensor, return_dict: bool = True
    ) -> RectifiedFlowOutput | tuple[Tensor]:
        """One Euler step of length 1 / N."""
        if self.num_inference_steps is None:
            raise ValueError("set_timesteps comes first")
        previous = sample + model_output / self.num_inference_steps
        return RectifiedFlowOutput(prev_sample=previous) if return_dict else (previous,)
