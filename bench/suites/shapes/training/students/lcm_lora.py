"""Train LCM-LoRA: latent consistency distillation into an adapter on the teacher's frozen UNet."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

import torch
from diffusers import LCMScheduler, StableDiffusionXLPipeline
from torch import Tensor, nn

from bench.suites.shapes.training.stages import latents
from bench.suites.shapes.training.students.common import (
    Conditioned,
    data_note,
    denoiser,
    load_teacher,
    pipeline,
    sample_rows,
)
from bench.suites.shapes.training.students.lcm import LCM, LCM_GUIDANCE_SCALE
from bench.suites.shapes.training.workshop import Workshop
from methods.diffusion.guidance import guidance_weight
from methods.distill.lora import Adapter, add_lora
from methods.lcm import LCMLoRA
from methods.lcm.objective import LcmObjective, LcmRecipe

LCM_LORA = replace(LCM, seed=33)
LORA_RANK = 16
_W = guidance_weight(LCM_GUIDANCE_SCALE)
LCM_LORA_RECIPE = LcmRecipe(w_min=_W, w_max=_W)


def train_lcm_lora(shop: Workshop) -> None:
    """Only the adapter learns, is averaged and is stored."""
    torch.manual_seed(LCM_LORA.seed)
    teacher = load_teacher(shop)
    unet = copy.deepcopy(teacher.unet)
    add_lora(unet, LORA_RANK)
    objective = LcmObjective(denoiser(unet), denoiser(teacher.unet), LCM_LORA_RECIPE)
    batches = Conditioned(latents(shop, LCM_LORA.batch_size, LCM_LORA.seed), teacher, with_pixels=False)

    def grid(networks: Mapping[str, nn.Module]) -> Tensor:
        pipe = pipeline(shop, teacher, copy.deepcopy(teacher.unet), batches.latents.scaling_factor)
        plug_in(pipe, _adapter(networks).tensors())
        return sample_rows(pipe, (1, 4), 0.0)

    averages, made = shop.run(
        "lcm-lora", objective, batches, LCM_LORA, data=data_note(LCM_LORA), grid=grid, measure_every=200
    )
    images = LCM_LORA.steps * LCM_LORA.batch_size
    counted = {"images": images, "teacher_evaluations": 2 * images, "rank": LORA_RANK}
    shop.finish("lcm-lora", _adapter(averages).tensors(), {**made, **counted, "recipe": vars(LCM_LORA_RECIPE)})


def plug_in(pipe: StableDiffusionXLPipeline, tensors: Mapping[str, Tensor]) -> None:
    """Load a LoRA onto any pipeline of this architecture as stock diffusers does, and give it the LCM sampler."""
    pipe.load_lora_weights(dict(tensors))
    settings = LCMLoRA.default_recipe.scheduler_config
    pipe.scheduler = LCMScheduler.from_config(pipe.scheduler.config, **settings)


def _adapter(networks: Mapping[str, nn.Module]) -> Adapter:
    adapter = networks["student"]
    if not isinstance(adapter, Adapter):
        raise TypeError(f"{type(adapter).__name__}: the student of LCM-LoRA is an adapter")
    return adapter
