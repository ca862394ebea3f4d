"""Train the ADD student."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bench.suites.shapes.training.eyes import load_features
from bench.suites.shapes.training.stages import latents, load_vae
from bench.suites.shapes.training.students.common import (
    Conditioned,
    data_note,
    denoiser,
    load_teacher,
    pipeline,
    sample_rows,
)
from bench.training.workshop import Workshop
from methods.add import ADD as ADD_METHOD
from methods.add.objective import AddObjective
from methods.add.recipe import AddRecipe
from methods.pipelines import make_scheduler

ADD_RECIPE = AddRecipe(features="eye", teacher_guidance=2.5)
ADD = ADD_RECIPE.training(steps=800, batch_size=64, seed=32, checkpoint_every=100)


def train_add(shop: Workshop) -> None:
    """Adversarial diffusion distillation with one of the suite's eyes as the discriminator's features."""
    torch.manual_seed(ADD.seed)
    teacher = load_teacher(shop)
    vae = load_vae(shop)
    batches = Conditioned(latents(shop, ADD.batch_size, ADD.seed), teacher, with_pixels=True)
    vae.register_to_config(scaling_factor=batches.latents.scaling_factor)
    student = copy.deepcopy(teacher.unet).requires_grad_(True)
    features = load_features(shop, ADD_RECIPE.features)
    objective = AddObjective(denoiser(student), denoiser(teacher.unet), vae, features, ADD_RECIPE)

    def grid(networks: Mapping[str, nn.Module]) -> Tensor:
        pipe = pipeline(shop, teacher, networks["student"], batches.latents.scaling_factor)
        pipe.scheduler = make_scheduler(pipe.scheduler.config, ADD_METHOD.default_recipe)
        return sample_rows(pipe, (1, 4), 0.0)

    averages, made = shop.run("add", objective, batches, ADD, data=data_note(ADD), grid=grid, measure_every=100)
    shop.finish("add", averages["student"].state_dict(), {**made, "recipe": vars(ADD_RECIPE)})
