"""Train the LCM student."""

from __future__ import annotations

from collections.abc import Mapping

import torch
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
from bench.training.workshop import Workshop
from methods.distill.guidance_input import with_guidance_input
from methods.distill.loop import TrainConfig
from methods.lcm import LCM as LCM_METHOD
from methods.lcm.objective import LcmObjective, LcmRecipe
from methods.pipelines import make_scheduler

LCM = TrainConfig(
    steps=1200,
    batch_size=128,
    learning_rate=2e-3,
    optimizer="muon",
    vector_rate=3e-4,
    ema_decay=0.995,
    seed=31,
    decay_fraction=0.5,
    checkpoint_every=100,
)
LCM_RECIPE = LcmRecipe(w_min=0.5, w_max=3.0)
LCM_GUIDANCE_SCALE = 2.5
LCM_GUIDANCE_EMBEDDING = 64


def train_lcm(shop: Workshop) -> None:
    """Latent consistency distillation with embedded guidance."""
    torch.manual_seed(LCM.seed)
    teacher = load_teacher(shop)
    unet = with_guidance_input(teacher.unet, LCM_GUIDANCE_EMBEDDING)
    objective = LcmObjective(denoiser(unet), denoiser(teacher.unet), LCM_RECIPE)
    batches = Conditioned(latents(shop, LCM.batch_size, LCM.seed), teacher, with_pixels=False)

    def grid(networks: Mapping[str, nn.Module]) -> Tensor:
        pipe = pipeline(shop, teacher, networks["student"], batches.latents.scaling_factor)
        pipe.scheduler = make_scheduler(pipe.scheduler.config, LCM_METHOD.default_recipe)
        return sample_rows(pipe, (1, 4), LCM_GUIDANCE_SCALE)

    averages, made = shop.run("lcm", objective, batches, LCM, data=data_note(LCM), grid=grid, measure_every=200)
    images = LCM.steps * LCM.batch_size
    counted = {"images": images, "teacher_evaluations": 2 * images}
    shop.finish("lcm", averages["student"].state_dict(), {**made, **counted, "recipe": vars(LCM_RECIPE)})
