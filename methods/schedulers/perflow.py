"""Steps along a piecewise rectified flow, as PeRFlow's released checkpoints are sampled.

Yan et al., "PeRFlow: Piecewise Rectified Flow as Universal Plug-and-Play Accelerator", arXiv 2405.07510; the sampler
was read in magic-research/piecewise-rectified-flow, src/scheduler_perflow.py.

    theirs                       here
    K time windows               num_time_windows; the k-th goes from time (K - k) / K down to (K - k - 1) / K
    t_s, t_e, t_c                start, end, now: times in [0, 1], 1 being noise
    lambda_s, eta_s              scale, shift: x_end = scale x_start + shift eps over a whole window
    gamma_s_e                    sqrt(alpha_bar(start) / alpha_bar(end))
    pred_win_end                 the latents at the window's end, seen from now

The network predicts the noise of its window: "ddim_eps" that of the diffusion (SDXL), "diff_eps" that of the window's
own forward process (SD 1.5), "velocity" the flow's direction itself (SD 2.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch
from diffusers import SchedulerMixin
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.utils import BaseOutput
from torch import Tensor

from methods.diffusion.timesteps import piecewise_timesteps

PREDICTIONS = ("ddim_eps", "diff_eps", "velocity")


@dataclass
class PeRFlowOutput(BaseOutput):  # type: ignore[misc]
    """`prev_sample`, the latents after the step."""

    prev_sample: Tensor


class PeRFlowScheduler(SchedulerMixin, ConfigMixin):  # type: ignore[misc]
    """Euler steps inside each window, on the line from the latents to where the window ends."""

    order = 1
    init_noise_sigma = 1.0

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        num_train_timesteps: int = 1000,
        beta_start: float = 0.00085,
        beta_end: float = 0.012,
        beta_schedule: str = "scaled_linear",
        prediction_type: str = "ddim_eps",
        num_time_windows: int = 4,
    ) -> None:
        if prediction_type not in PREDICTIONS:
            raise ValueError(f"prediction_type must be one of {', '.join(PREDICTIONS)}, got {prediction_type!r}")
        if beta_schedule != "scaled_linear":
            raise ValueError(
                f"beta_schedule must be 'scaled_linear', as the authors' models have, got {beta_schedule!r}"
            )
        betas = torch.linspace(beta_start**0.5, beta_end**0.5, num_train_timesteps, dtype=torch.float32) ** 2
        self.alphas_cumprod = torch.cumprod(1.0 - betas, dim=0)
        self.num_inference_steps: int | None = None
        self.timesteps = torch.tensor([num_train_timesteps])

    def set_timesteps(self, num_inference_steps: int, device: str | torch.device | None = None) -> None:
        """Share the steps out over the windows, the noisiest first, evenly inside each.

        Raises:
            ValueError: for fewer steps than windows; the authors' code would silently take as many as there are.
        """
        windows = self.config.num_time_windows
        if num_inference_steps < windows:
            raise ValueError(f"PeRFlow needs a step in each of its {windows} windows, got {num_inference_steps} steps")
        self.num_inference_steps = num_inference_steps
        timesteps = piecewise_timesteps(num_inference_steps, windows, self.config.num_train_timesteps)
        self.timesteps = torch.tensor(timesteps, device=device)

    def scale_model_input(self, sample: Tensor, timestep: Any = None) -> Tensor:
        """The latents as they are."""
        return sample

    def step(
        self, model_output: Tensor, timestep: Any, sample: Tensor, return_dict: bool = True
    ) -> PeRFlowOutput | tuple[Tensor]:
        """From `timestep` to the next one, or to the image."""
        place = int((self.timesteps == timestep).nonzero()[0])
        now = int(timestep) / self.config.num_train_timesteps
        later = [int(value) for value in self.timesteps[place + 1 : place + 2]]
        then = (later[0] if later else 0) / self.config.num_train_timesteps
        previous = sample + (then - now) * self._velocity(model_output, sample, now)
        return PeRFlowOutput(prev_sample=previous) if return_dict else (previous,)

    def _velocity(self, model_output: Tensor, sample: Tensor, now: float) -> Tensor:
        if self.config.prediction_type == "velocity":
            return model_output
        start, end = self._window(now)
        scale, shift = self._whole_window(start, end)
        weight = scale * (now - start) + (end - now)
        at_end = scale * (end - start) / weight * sample + shift * (end - now) / weight * model_output
        return (at_end - sample) / (end - now)

    def _window(self, now: float) -> tuple[float, float]:
        """Start and end of the window that `now` is in; a window owns its start, not its end."""
        windows = self.config.num_time_windows
        nearly = now - 0.1 / self.config.num_train_timesteps  # their margin against rounding
        index = next(index for index in range(windows) if nearly > (windows - index - 1) / windows)
        return (windows - index) / windows, (windows - index - 1) / windows

    def _whole_window(self, start: float, end: float) -> tuple[float, float]:
        """Scale and shift of the map from a window's start to its end, in the sense of the prediction type."""
        at_start, at_end = self._alpha_bar(start), self._alpha_bar(end)
        scale = sqrt(at_end / at_start)
        if self.config.prediction_type == "ddim_eps":
            return scale, sqrt(1 - at_end) - scale * sqrt(1 - at_start)
        return scale, -scale * sqrt(1 - at_start / at_end)

    def _alpha_bar(self, time: float) -> float:
        """The signal left at a time; the image's end is the first level of the schedule, not 1."""
        return float(self.alphas_cumprod[max(0, int(time * self.config.num_train_timesteps - 1))])
