"""Train the student that the games of ADD, UFOGen and DMD2 begin with: consistency-distilled, so that it reads noise.

The teacher has zero terminal SNR and has learned to ignore its input at T, so that a student with its weights is a
constant there, and what a discriminator or a score network says of its samples moves all images of a caption alike.
The papers' teachers end at alpha_T = 0.068 and read their noise.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from diffusers import UNet2DConditionModel

from bench.suites.shapes.training.stages import latents
from bench.suites.shapes.training.students.common import (
    CURRENCIES,
    Conditioned,
    data_note,
    denoiser,
    load_teacher,
    student_grid,
)
from bench.suites.shapes.training.students.lcm import LCM, LCM_GUIDANCE_SCALE
from bench.suites.shapes.training.teacher import Teacher
from bench.training.workshop import Workshop
from methods.add import ADD
from methods.diffusion.guidance import guidance_weight
from methods.distill.loop import TrainConfig
from methods.lcm.objective import LcmObjective, LcmRecipe

START_RECIPE = LcmRecipe(w_min=guidance_weight(LCM_GUIDANCE_SCALE), w_max=guidance_weight(LCM_GUIDANCE_SCALE))
START = replace(LCM, steps=1100, seed=34)
"""Eleven twelfths of LCM's budget. What is left of it is the games': more of them and less of the start was no better
for ADD, whose FD was 1.9 at 1 step and 1.4 to 1.8 at 4 after 250 steps of the student, and 2.2 and 1.9 after 1,200."""
STAGE = "start"


def train_start(shop: Workshop) -> None:
    """The start of the students that ship."""
    teacher = load_teacher(shop)
    distil_start(shop, STAGE, START, teacher, teacher.unet)


def distil_start(
    shop: Workshop, stage: str, training: TrainConfig, teacher: Teacher, unet: UNet2DConditionModel
) -> None:
    """Distil `unet`, which reads the teacher's text embeddings, at one guidance scale; the averaged student is kept."""
    config = shop.seeded(training)
    torch.manual_seed(config.seed)
    student = copy.deepcopy(unet).requires_grad_(True)
    objective = LcmObjective(denoiser(student), denoiser(unet), START_RECIPE)
    batches = Conditioned(latents(shop, config.batch_size, config.seed), teacher, with_pixels=False)
    grid = student_grid(shop, teacher, batches.latents.scaling_factor, ADD.default_recipe, (1, 4))
    averages, made = shop.run(
        stage, objective, batches, config, data=data_note(config), grid=grid, measure_every=100, student=None
    )
    images = config.steps * config.batch_size
    counted = {"images": images, "teacher_evaluations": 2 * images}
    shop.finish(stage, averages["student"].state_dict(), {**made, **counted, "recipe": vars(START_RECIPE)})


def started(shop: Workshop, teacher: Teacher) -> tuple[UNet2DConditionModel, dict[str, Any]]:
    """The student as a game begins, to be trained, and what it took in the three currencies."""
    student = copy.deepcopy(teacher.unet).requires_grad_(True)
    student.load_state_dict(shop.weights(STAGE))
    return student, taken(shop, STAGE)


def taken(shop: Workshop, stage: str) -> dict[str, Any]:
    """What a finished start took in the three currencies."""
    note = shop.note(stage)
    return {key: note[key] for key in CURRENCIES}


def with_start(note: Mapping[str, Any], begun: Mapping[str, Any]) -> dict[str, Any]:
    """The note of a game, its currencies being those of the start and its own together."""
    totals = {key: note[key] + begun[key] for key in CURRENCIES}
    return {**note, **totals, "seconds": round(totals["seconds"], 1), "start": dict(begun)}
