"""A denoiser as the distillation objectives see it: conditions in, x0 and eps out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from methods.diffusion.guidance import combine, guidance_embedding
from methods.diffusion.prediction import to_eps, to_x0
from methods.diffusion.schedule import Schedule


@dataclass(frozen=True)
class Condition:
    """What SDXL's UNet is conditioned on: token embeddings (N, L, D), pooled embedding (N, P), time ids (N, 6)."""

    embeds: Tensor
    pooled: Tensor
    time_ids: Tensor

    def __len__(self) -> int:
        return len(self.embeds)

    def null(self) -> Self:
        """The pipeline's null condition: zeros (`force_zeros_for_empty_prompt`), with the same time ids."""
        return type(self)(torch.zeros_like(self.embeds), torch.zeros_like(self.pooled), self.time_ids)

    def expanded(self, n: int) -> Self:
        """One condition (of length 1) for `n` images."""
        return type(self)(*(part.expand(n, *part.shape[1:]) for part in (self.embeds, self.pooled, self.time_ids)))

    def rows(self, which: Tensor) -> Self:
        """The conditions of some images: `which` is a mask (N,) or a tensor of places."""
        return type(self)(self.embeds[which], self.pooled[which], self.time_ids[which])

    def with_(self, other: Condition) -> Condition:
        """Both, one after the other along the batch."""
        return Condition(
            torch.cat([self.embeds, other.embeds]),
            torch.cat([self.pooled, other.pooled]),
            torch.cat([self.time_ids, other.time_ids]),
        )


@dataclass(frozen=True)
class Denoiser:
    """A UNet with the schedule and the prediction type it was trained for."""

    unet: UNet2DConditionModel
    schedule: Schedule
    prediction_type: str

    def output(self, x_t: Tensor, timesteps: Tensor, condition: Condition, w: Tensor | None = None) -> Tensor:
        """The UNet's raw output, like `x_t` (N, C, H, W); `w` (N,) is the embedded guidance."""
        embedded = None if w is None else guidance_embedding(w, self.unet.config.time_cond_proj_dim)
        result: Tensor = self.unet(
            x_t,
            timesteps,
            encoder_hidden_states=condition.embeds,
            timestep_cond=embedded,
            added_cond_kwargs={"text_embeds": condition.pooled, "time_ids": condition.time_ids},
        ).sample
        return result

    def x0(self, x_t: Tensor, timesteps: Tensor, condition: Condition, w: Tensor | None = None) -> Tensor:
        """The predicted clean latents."""
        return self.split(self.output(x_t, timesteps, condition, w), x_t, timesteps)[0]

    def split(self, output: Tensor, x_t: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """A raw output as (x0, eps)."""
        alpha, sigma = self.schedule.at(timesteps, x_t)
        return (
            to_x0(self.prediction_type, output, x_t, alpha, sigma),
            to_eps(self.prediction_type, output, x_t, alpha, sigma),
        )

    def guided_output(
        self, x_t: Tensor, timesteps: Tensor, condition: Condition, guidance_scale: Tensor | float
    ) -> Tensor:
        """The raw output under classifier-free guidance, both passes in one batch; the gradient passes through both.

        `guidance_scale` is a number or (N, 1, 1, 1).
        """
        both = condition.null().with_(condition)
        output = self.output(torch.cat([x_t, x_t]), torch.cat([timesteps, timesteps]), both)
        uncond, cond = output.chunk(2)
        return combine(uncond, cond, guidance_scale)

    @torch.no_grad()
    def guided(
        self, x_t: Tensor, timesteps: Tensor, condition: Condition, guidance_scale: Tensor | float
    ) -> tuple[Tensor, Tensor]:
        """(x0, eps) under classifier-free guidance; no gradient. `guidance_scale` is a number or (N, 1, 1, 1)."""
        return self.split(self.guided_output(x_t, timesteps, condition, guidance_scale), x_t, timesteps)
