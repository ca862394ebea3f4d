"""Train the students of DMD2: one of four steps and one of one step, each a training of its own."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace

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
from methods.distill.loop import TrainConfig
from methods.dmd2 import DMD2
from methods.dmd2.objective import Dmd2Objective
from methods.dmd2.recipe import Dmd2Recipe
from methods.pipelines import make_scheduler

DMD2_RECIPE = Dmd2Recipe(teacher_guidance=2.5, fake_updates=3)
"""Three updates of the fake score for one of the student: with five, too few of the student's fit the time."""

DMD2_TRAINING: Mapping[int, TrainConfig] = {
    steps: DMD2_RECIPE.training(steps=1500, batch_size=64, seed=42 + steps, checkpoint_every=100) for steps in (4, 1)
}
"""Student's steps -> its training. `steps` of it are updates of the fake score network."""


def dmd2_trainer(student_steps: int) -> Callable[[Workshop], None]:
    """The training of the student of `student_steps`, as a stage takes it."""

    def train_it(shop: Workshop) -> None:
        _train(shop, student_steps)

    return train_it


def _train(shop: Workshop, student_steps: int) -> None:
    config, recipe = shop.seeded(DMD2_TRAINING[student_steps]), replace(DMD2_RECIPE, steps=student_steps)
    torch.manual_seed(config.seed)
    teacher = load_teacher(shop)
    student = copy.deepcopy(teacher.unet).requires_grad_(True)
    objective = Dmd2Objective(denoiser(student), denoiser(teacher.unet), recipe)
    batches = Conditioned(latents(shop, config.batch_size, config.seed), teacher, with_pixels=False)

    def grid(networks: Mapping[str, nn.Module]) -> Tensor:
        pipe = pipeline(shop, teacher, networks["student"], batches.latents.scaling_factor)
        pipe.scheduler = make_scheduler(pipe.scheduler.config, DMD2.default_recipe)
        return sample_rows(pipe, (student_steps,), 0.0)

    name = DMD2.info.checkpoint(student_steps)
    averages, made = shop.run(name, objective, batches, config, data=data_note(config), grid=grid, measure_every=300)
    shop.finish(name, averages["student"].state_dict(), {**made, **budget(config, recipe), "recipe": vars(recipe)})


def budget(config: TrainConfig, recipe: Dmd2Recipe) -> dict[str, int]:
    """Images that the student learned from, and the teacher's evaluations for them, guided."""
    images = config.steps // recipe.fake_updates * config.batch_size
    return {"images": images, "teacher_evaluations": 2 * images}
