"""The students that can be trained from a teacher of any size: their networks, recipes and rates, one function each.

What a paper gives is named; the rest is our choice for SDXL, and an option of the command where it matters most.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import nn

from bench.fullscale.request import FullScale
from bench.fullscale.teacher import feature_depths, load_features
from methods.add import ADD
from methods.add.features import FrozenFeatures
from methods.add.objective import AddObjective
from methods.add.recipe import AddRecipe
from methods.diffusion.schedule import Schedule
from methods.distill.denoiser import Denoiser
from methods.distill.loop import TrainConfig
from methods.distill.objective import Objective
from methods.interface import Recipe
from methods.lcm import LCM
from methods.lcm.objective import LcmObjective, LcmRecipe
from methods.pipelines import quiet_libraries

LCM_GUIDANCE_EMBEDDING = 256
"""Width of the embedded guidance scale, that of the released LCM-SDXL."""

ADD_RECIPE = AddRecipe()
LCM_RECIPE = LcmRecipe(w_min=2.0, w_max=14.0)
"""w as in arXiv 2310.04378; the grid of 50, the EMA target and the distance are diffusers' training example's."""


@dataclass(frozen=True)
class Made:
    """An objective ready to train, and what the sampled student wants. `note` says which choices were made."""

    objective: Objective
    recipe: Recipe
    config: TrainConfig
    note: dict[str, Any]
    pixels: bool
    grid_steps: tuple[int, ...] = (1, 4)


def make_add(pipe: Any, request: FullScale, frozen: torch.dtype) -> Made:
    """Adversarial diffusion distillation with DINOv2 under the discriminator. Iterations and batch: its ablations'."""
    dino = load_features(request.features)
    features = FrozenFeatures(dino, feature_depths(int(dino.config.num_hidden_layers)))
    student = _trainable(pipe.unet, request)
    vae = FullPrecisionVae(pipe.vae)
    if request.gradient_checkpointing:
        pipe.vae.enable_gradient_checkpointing()
    teacher = _frozen(pipe, frozen)
    objective = AddObjective(_denoiser(pipe, student), teacher, vae, features, ADD_RECIPE)
    config = replace(
        _config(request, 1e-5), learning_rates={"discriminator": 1e-4}, betas=(0.0, 0.99), weight_decay=0.0
    )
    note = {"recipe": vars(ADD_RECIPE), "features": request.features, "feature_depths": features.depths}
    return Made(objective, _sized(ADD.default_recipe, request), config, note, pixels=True)


def make_lcm(pipe: Any, request: FullScale, frozen: torch.dtype) -> Made:
    """Latent consistency distillation with embedded guidance; the learning rate is that of its paper."""
    student = UNet2DConditionModel.from_config(with_guidance_input(pipe.unet.config))
    student.load_state_dict(pipe.unet.state_dict(), strict=False)
    nn.init.zeros_(student.time_embedding.cond_proj.weight)  # the student starts as the teacher
    student = _trainable(student, request, copied=False)
    teacher = _frozen(pipe, frozen)
    objective = LcmObjective(_denoiser(pipe, student), teacher, LCM_RECIPE)
    recipe = _sized(LCM.default_recipe, request)
    return Made(objective, recipe, _config(request, 8e-6), {"recipe": vars(LCM_RECIPE)}, pixels=False)


STUDENTS: dict[str, Callable[[Any, FullScale, torch.dtype], Made]] = {"add": make_add, "lcm": make_lcm}


def with_guidance_input(config: Mapping[str, Any]) -> dict[str, Any]:
    """A UNet's config with an input for an embedded guidance scale."""
    given = {
        name: value for name, value in config.items() if name != "_use_default_values"
    }  # else ours would be dropped
    return {**given, "time_cond_proj_dim": LCM_GUIDANCE_EMBEDDING}


class FullPrecisionVae(nn.Module):
    """An autoencoder that decodes in float32, whatever is cast around it: SDXL's overflows in half precision."""

    def __init__(self, vae: nn.Module) -> None:
        super().__init__()
        self.vae, self.config = vae, vae.config

    def decode(self, latents: torch.Tensor) -> Any:
        """As the autoencoder's own; the gradient passes."""
        with torch.autocast(latents.device.type, enabled=False):
            return self.vae.decode(latents.float())  # type: ignore[operator]


def _trainable(unet: Any, request: FullScale, *, copied: bool = True) -> Any:
    student = (copy.deepcopy(unet) if copied else unet).float().requires_grad_(True).train()
    if request.gradient_checkpointing:
        student.enable_gradient_checkpointing()
    return student


def _frozen(pipe: Any, dtype: torch.dtype) -> Denoiser:
    """The teacher, its weights in the dtype that autocast would cast them to anyway."""
    with quiet_libraries():
        return _denoiser(pipe, pipe.unet.to(dtype))


def _denoiser(pipe: Any, unet: Any) -> Denoiser:
    config = pipe.scheduler.config
    return Denoiser(unet, Schedule.from_scheduler_config(config), str(config.prediction_type))


def _config(request: FullScale, learning_rate: float) -> TrainConfig:
    rate = learning_rate if request.learning_rate is None else request.learning_rate
    return TrainConfig(
        steps=request.steps,
        batch_size=request.batch_size,
        learning_rate=rate,
        warmup_steps=min(500, max(1, request.steps // 10)),
        decay_fraction=0.1,
        ema_decay=0.999,
        seed=request.seed,
        checkpoint_every=request.checkpoint_every,
    )


def _sized(recipe: Recipe, request: FullScale) -> Recipe:
    return replace(recipe, height=request.resolution, width=request.resolution)
