"""Train the student of CFG-aware distillation."""

from __future__ import annotations

import copy
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
from bench.suites.shapes.training.students.lcm import LCM
from bench.training.workshop import Workshop
from methods.cfg_aware import CFGAware
from methods.cfg_aware.objective import CfgAwareObjective, CfgAwareRecipe

CFG_AWARE = replace(LCM, steps=600, seed=48)
"""Half of LCM's images: an image costs four evaluations of the teacher."""

CFG_AWARE_RECIPE = CfgAwareRecipe(guidance_scales=(1.5, 4.0))
CFG_AWARE_GUIDANCE_SCALE = 2.5
TEACHER_EVALUATIONS = 4
"""A training image: two guided steps."""


def train_cfg_aware(shop: Workshop) -> None:
    """Sixteen guided steps into eight guided ones."""
    config = shop.seeded(CFG_AWARE)
    torch.manual_seed(config.seed)
    teacher = load_teacher(shop)
    student = copy.deepcopy(teacher.unet).requires_grad_(True)
    objective = CfgAwareObjective(denoiser(student), denoiser(teacher.unet), CFG_AWARE_RECIPE)
    batches = Conditioned(latents(shop, config.batch_size, config.seed), teacher, with_pixels=False)
    grid = student_grid(
        shop,
        teacher,
        batches.latents.scaling_factor,
        CFGAware.default_recipe,
        (CFG_AWARE_RECIPE.student_steps,),
        CFG_AWARE_GUIDANCE_SCALE,
    )
    averages, made = shop.run(
        "cfg-aware", objective, batches, config, data=data_note(config), grid=grid, measure_every=200
    )
    images = config.steps * config.batch_size
    counted = {"images": images, "teacher_evaluations": TEACHER_EVALUATIONS * images}
    shop.finish("cfg-aware", averages["student"].state_dict(), {**made, **counted, "recipe": vars(CFG_AWARE_RECIPE)})
