"""Train the students of progressive distillation: rounds that halve the steps, each a training of its own."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from diffusers import UNet2DConditionModel

from bench.suites.shapes.generator.networks import make_unet
from bench.suites.shapes.training.stages import latents
from bench.suites.shapes.training.students.common import (
    Conditioned,
    data_note,
    denoiser,
    load_teacher,
    student_grid,
)
from bench.suites.shapes.training.teacher import Teacher
from bench.training.workshop import Workshop
from methods.distill.loop import TrainConfig
from methods.distill.parallel import wait_for_all
from methods.progressive import ProgressiveDistillation
from methods.progressive.objective import PdObjective, PdRecipe, Round, rounds

PD = TrainConfig(
    steps=0,  # the round's, below
    batch_size=128,
    learning_rate=2e-3,
    optimizer="muon",
    vector_rate=3e-4,
    ema_decay=0.98,
    seed=35,
    warmup_steps=20,
    decay_fraction=0.7,
    checkpoint_every=50,
)
PD_STEPS: Mapping[int, int] = {16: 200, 8: 150, 4: 150, 2: 200, 1: 300}
"""Student's steps -> training steps: together no more teacher evaluations, images and seconds than LCM is given."""

PD_RECIPE = PdRecipe(guidance_scale=2.5)


def train_pd(shop: Workshop) -> None:
    """All rounds, each from the student of the one before; those that are finished are left as they are."""
    teacher = load_teacher(shop)
    before: str | None = None
    notes: list[dict[str, Any]] = []
    for this_round in rounds(PD_RECIPE):
        name = stage_of(this_round.student_steps)
        finished = shop.finished(name)
        wait_for_all()  # so that all processes saw the same
        if not finished:
            _train_round(shop, teacher, this_round, before)
            wait_for_all()
        notes.append(shop.note(name))
        before = name
    if before is not None:
        totals = {key: sum(note[key] for note in notes) for key in ("seconds", "teacher_evaluations", "images")}
        shop.finish("pd", shop.weights(before), {"stage": "pd", "recipe": vars(PD_RECIPE), **totals})


def stage_of(student_steps: int) -> str:
    """The folder of the round whose student takes `student_steps`, such as "pd/8to4"."""
    return f"pd/{Round(student_steps).name}"


def _train_round(shop: Workshop, teacher: Teacher, this_round: Round, before: str | None) -> None:
    """One round; `before` is the stage whose student is the teacher, None for the guided teacher itself."""
    steps = PD_STEPS[this_round.student_steps]
    config = shop.seeded(replace(PD, steps=steps, seed=PD.seed + this_round.student_steps))
    unet = teacher.unet if before is None else _student(shop, before)
    student = copy.deepcopy(unet).requires_grad_(True)
    objective = PdObjective(denoiser(student), denoiser(unet), this_round, PD_RECIPE.weighting)
    batches = Conditioned(latents(shop, config.batch_size, config.seed), teacher, with_pixels=False)
    grid = student_grid(
        shop,
        teacher,
        batches.latents.scaling_factor,
        ProgressiveDistillation.default_recipe,
        (this_round.student_steps,),
    )
    name = stage_of(this_round.student_steps)
    images = config.steps * config.batch_size
    averages, made = shop.run(name, objective, batches, config, data=data_note(config), grid=grid, measure_every=100)
    counted = {"images": images, "teacher_evaluations": images * this_round.teacher_evaluations}
    shop.finish(name, averages["student"].state_dict(), {**made, **counted, "recipe": vars(PD_RECIPE)})


def _student(shop: Workshop, name: str) -> UNet2DConditionModel:
    """The student of a finished round, frozen: the next one's teacher."""
    unet = make_unet()
    unet.load_state_dict(shop.weights(name))
    return unet.eval().requires_grad_(False)
