"""Train the student of guidance distillation."""

from __future__ import annotations

from dataclasses import replace

import torch

from bench.suites.shapes.training.stages import latents
from bench.suites.shapes.training.students.common import (
    Conditioned,
    data_note,
    denoiser,
    load_teacher,
    student_grid,
)
from bench.suites.shapes.training.students.lcm import LCM, LCM_GUIDANCE_EMBEDDING
from bench.training.workshop import Workshop
from methods.distill.guidance_input import with_guidance_input
from methods.guidance_distillation import GuidanceDistillation
from methods.guidance_distillation.objective import GdObjective, GdRecipe

GD = replace(LCM, seed=41)
GD_RECIPE = GdRecipe(w_min=0.0, w_max=3.0)
GD_GUIDANCE_SCALE = 2.5
TEACHER_EVALUATIONS = 2
"""A training image: with the caption and without."""


def train_gd(shop: Workshop) -> None:
    """One network for all guidance scales of the range, from the teacher with an input more."""
    config = shop.seeded(GD)
    torch.manual_seed(config.seed)
    teacher = load_teacher(shop)
    unet = with_guidance_input(teacher.unet, LCM_GUIDANCE_EMBEDDING)
    objective = GdObjective(denoiser(unet), denoiser(teacher.unet), GD_RECIPE)
    batches = Conditioned(latents(shop, config.batch_size, config.seed), teacher, with_pixels=False)
    grid = student_grid(
        shop, teacher, batches.latents.scaling_factor, GuidanceDistillation.default_recipe, (4, 8), GD_GUIDANCE_SCALE
    )
    averages, made = shop.run("gd", objective, batches, config, data=data_note(config), grid=grid, measure_every=200)
    images = config.steps * config.batch_size
    counted = {"images": images, "teacher_evaluations": TEACHER_EVALUATIONS * images}
    shop.finish("gd", averages["student"].state_dict(), {**made, **counted, "recipe": vars(GD_RECIPE)})
