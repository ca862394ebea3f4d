"""Train LCM-LoRA: latent consistency distillation into an adapter on the teacher's frozen UNet."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

import torch
from diffusers import StableDiffusionXLPipeline
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
from bench.training.workshop import Workshop
from methods.diffusion.guidance import guidance_weight
from methods.distill.lora import add_lora, as_adapter
from methods.lcm import LCMLoRA
from methods.lcm.objective import LcmObjective, LcmRecipe
from methods.pipelines import make_scheduler

LCM_LORA = replace(LCM, seed=33)
LORA_RANK = 16
_W = guidance_weight(LCM_GUIDANCE_SCALE)
LCM_LORA_RECIPE = LcmRecipe(w_min=_W, w_max=_W)


def train_lcm_lora(shop: Workshop) -> None:
    """Only the adapter learns, is averaged and is stored."""
    config = shop.seeded(LCM_LORA)
    torch.manual_seed(config.seed)
    teacher = load_teacher(shop)
    unet = copy.deepcopy(teacher.unet)
    add_lora(unet, LORA_RANK)
    objective = LcmObjective(denoiser(unet), denoiser(teacher.unet), LCM_LORA_RECIPE)
    batches = Conditioned(latents(shop, config.batch_size, config.seed), teacher, with_pixels=False)

    def grid(networks: Mapping[str, nn.Module]) -> Tensor:
        pipe = pipeline(shop, teacher, copy.deepcopy(teacher.unet), batches.latents.scaling_factor)
        plug_in(pipe, _adapter(networks))
        return sample_rows(pipe, (1, 4), 0.0)

    averages, made = shop.run(
        "lcm-lora", objective, batches, config, data=data_note(config), grid=grid, measure_every=200, student=_adapter
    )
    images = config.steps * config.batch_size
    counted = {"images": images, "teacher_evaluations": 2 * images, "rank": LORA_RANK}
    shop.finish("lcm-lora", _adapter(averages), {**made, **counted, "recipe": vars(LCM_LORA_RECIPE)})


def _adapter(networks: Mapping[str, nn.Module]) -> Mapping[str, Tensor]:
    return as_adapter(networks["student"]).tensors()


def plug_in(pipe: StableDiffusionXLPipeline, tensors: Mapping[str, Tensor]) -> None:
    """Load a LoRA onto any pipeline of this architecture as stock diffusers does, and give it the LCM sampler."""
    pipe.load_lora_weights(dict(tensors))
    pipe.scheduler = make_scheduler(pipe.scheduler.config, LCMLoRA.default_recipe)
