"""Train the teacher: v-prediction on latents, with the two text encoders learning alongside the UNet.

The training follows what SDXL's pipeline does at sampling: the null condition is zeros for the token and the pooled
embedding (`force_zeros_for_empty_prompt`), and the time ids are the pipeline's own for an uncropped square image.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from bench.suites.shapes import vocabulary as words
from methods.diffusion.schedule import Schedule
from methods.distill.draws import Draws
from methods.distill.objective import Batch, Objective

CONDITION_DROPOUT = 0.1


class Teacher(nn.Module):
    """Both text encoders and the UNet as one network, so that one optimiser trains them."""

    def __init__(
        self, text_encoder: CLIPTextModel, text_encoder_2: CLIPTextModelWithProjection, unet: UNet2DConditionModel
    ) -> None:
        super().__init__()
        self.text_encoder, self.text_encoder_2, self.unet = text_encoder, text_encoder_2, unet

    def encode(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """int64 (N, L) -> token embeddings (N, L, 144) and pooled embedding (N, 80), as SDXL's pipeline makes them."""
        first = self.text_encoder(tokens, output_hidden_states=True)
        second = self.text_encoder_2(tokens, output_hidden_states=True)
        return torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1), second.text_embeds


def time_ids(n: int) -> Tensor:
    """float32 (n, 6): original size, crop corner and target size of an uncropped image."""
    side = words.IMAGE_SIZE
    return torch.tensor([[side, side, 0, 0, side, side]], dtype=torch.float32).expand(n, -1)


class TeacherObjective(Objective):
    """Batches hold "latents" float32 (N, 8, 8, 8), already scaled, and "tokens" int64 (N, L)."""

    def __init__(self, teacher: Teacher, schedule: Schedule) -> None:
        self.teacher = teacher
        self.schedule = schedule

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        return {"teacher": self.teacher}

    def losses(self, network: str, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        x0 = batch["latents"]
        n = len(x0)
        t = (draws.stratified(n) * len(self.schedule.alpha)).long()
        alpha, sigma = (values[t].float().view(-1, 1, 1, 1) for values in (self.schedule.alpha, self.schedule.sigma))
        eps = draws.normal(*x0.shape)
        embeds, pooled = self.teacher.encode(batch["tokens"])
        keep = (draws.uniform(n) >= CONDITION_DROPOUT).float()
        v = self.teacher.unet(
            alpha * x0 + sigma * eps,
            t,
            encoder_hidden_states=embeds * keep.view(-1, 1, 1),
            added_cond_kwargs={"text_embeds": pooled * keep.view(-1, 1), "time_ids": time_ids(n)},
        ).sample
        return {"v": (v - (alpha * eps - sigma * x0)).square().mean()}
