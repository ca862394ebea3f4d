"""Train the LCM student."""

from __future__ import annotations

import torch

from bench.suites.shapes.training.stages import latents
from bench.suites.shapes.training.students.common import (
    Conditioned,
    data_note,
    denoiser,
    load_teacher,
    student_grid,
)
from bench.training.workshop import Workshop
from methods.distill.guidance_input import with_guidance_input
from methods.distill.loop import TrainConfig
from methods.lcm import LCM as LCM_METHOD
from methods.lcm.objective import LcmObjective, LcmRecipe

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
TEACHER_EVALUATIONS = 2
"""A training image: with the caption and without."""


def train_lcm(shop: Workshop) -> None:
    """Latent consistency distillation with embedded guidance."""
    config = shop.seeded(LCM)
    torch.manual_seed(config.seed)
    teacher = load_teacher(shop)
    unet = with_guidance_input(teacher.unet, LCM_GUIDANCE_EMBEDDING)
    objective = LcmObjective(denoiser(unet), denoiser(teacher.unet), LCM_RECIPE)
    batches = Conditioned(latents(shop, config.batch_size, config.seed), teacher, with_pixels=False)
    grid = student_grid(
        shop, teacher, batches.latents.scaling_factor, LCM_METHOD.default_recipe, (1, 4), LCM_GUIDANCE_SCALE
    )
    averages, made = shop.run("lcm", objective, batches, config, data=data_note(config), grid=grid, measure_every=200)
    images = config.steps * config.batch_size
    counted = {"images": images, "teacher_evaluations": TEACHER_EVALUATIONS * images}
    shop.finish("lcm", averages["student"].state_dict(), {**made, **counted, "recipe": vars(LCM_RECIPE)})
