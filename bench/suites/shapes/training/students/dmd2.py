"""Train the students of DMD2: one of four steps and one of one step, each a training of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from bench.suites.shapes.training.students.start import started, with_start
from bench.training.workshop import Workshop
from methods.distill.loop import TrainConfig
from methods.dmd2 import DMD2
from methods.dmd2.objective import Dmd2Objective
from methods.dmd2.recipe import Dmd2Recipe

DMD2_RECIPE = Dmd2Recipe(
    teacher_guidance=2.5, fake_updates=3, adversarial_weight=0.2, discriminator_weight=0.5, student_rate=4e-4
)
"""Departures from the defaults, by trials on the validation split (docs/trials.csv):

    fake_updates          with five of the fake score for one of the student, too few of the student's fit the time
    adversarial_weight    at the paper's 5e-3 the game with images does not hold the student: at 1 step FD rises to
                          5.3 from 2.75 in 150 of the student's updates; with these weights it falls to 1.8 in 100
    student_rate          at 1e-3 the student runs away from the fake score
"""

DMD2_TRAINING: Mapping[int, TrainConfig] = {
    steps: DMD2_RECIPE.training(steps=600, batch_size=64, seed=42 + steps, checkpoint_every=100) for steps in (4, 1)
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
    student, begun = started(shop, teacher)
    objective = Dmd2Objective(denoiser(student), denoiser(teacher.unet), recipe)
    batches = Conditioned(latents(shop, config.batch_size, config.seed), teacher, with_pixels=False)
    grid = student_grid(shop, teacher, batches.latents.scaling_factor, DMD2.default_recipe, (student_steps,))
    name = DMD2.info.checkpoint(student_steps)
    averages, made = shop.run(name, objective, batches, config, data=data_note(config), grid=grid, measure_every=300)
    note = with_start({**made, **budget(config, recipe), "recipe": vars(recipe)}, begun)
    shop.finish(name, averages["student"].state_dict(), note)


def budget(config: TrainConfig, recipe: Dmd2Recipe) -> dict[str, int]:
    """Images that the student learned from after its start, and the teacher's evaluations for them, guided."""
    images = config.steps // recipe.fake_updates * config.batch_size
    return {"images": images, "teacher_evaluations": 2 * images}
