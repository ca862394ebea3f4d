"""Train the student of UFOGen."""

from __future__ import annotations

import copy
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
from methods.adversarial.backbone import UNetDiscriminator
from methods.pipelines import make_scheduler
from methods.ufogen import UFOGen
from methods.ufogen.objective import UfoGenObjective
from methods.ufogen.recipe import UfoGenRecipe

UFOGEN_RECIPE = UfoGenRecipe(terminal_share=0.5)
UFOGEN = UFOGEN_RECIPE.training(steps=1500, batch_size=64, seed=49, checkpoint_every=100)


def train_ufogen(shop: Workshop) -> None:
    """Generator and discriminator both start from the teacher's weights; the teacher itself is never asked."""
    config = shop.seeded(UFOGEN)
    torch.manual_seed(config.seed)
    teacher = load_teacher(shop)
    student, judge = (copy.deepcopy(teacher.unet).requires_grad_(True) for _ in range(2))
    objective = UfoGenObjective(denoiser(student), UNetDiscriminator(denoiser(judge)), UFOGEN_RECIPE)
    batches = Conditioned(latents(shop, config.batch_size, config.seed), teacher, with_pixels=False)

    def grid(networks: Mapping[str, nn.Module]) -> Tensor:
        pipe = pipeline(shop, teacher, networks["student"], batches.latents.scaling_factor)
        pipe.scheduler = make_scheduler(pipe.scheduler.config, UFOGen.default_recipe)
        return sample_rows(pipe, (1, 4), 0.0)

    averages, made = shop.run("ufogen", objective, batches, config, data=data_note(config), grid=grid)
    counted = {"images": config.steps * config.batch_size, "teacher_evaluations": 0}
    shop.finish("ufogen", averages["student"].state_dict(), {**made, **counted, "recipe": vars(UFOGEN_RECIPE)})
