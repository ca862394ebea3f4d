"""The students that can be trained from a teacher of any size: their networks, recipes and rates, one function each.

What a paper gives is named; the rest is our choice for SDXL, and an option of the command where it matters most.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from bench.fullscale.request import FullScale
from bench.fullscale.teacher import load_features
from methods.add import ADD
from methods.add.objective import AddObjective
from methods.add.recipe import AddRecipe
from methods.diffusion.schedule import Schedule
from methods.distill.denoiser import Denoiser
from methods.distill.guidance_input import with_guidance_input
from methods.distill.loop import TrainConfig
from methods.distill.lora import WithoutAdapter, add_lora, wearing
from methods.distill.objective import Objective
from methods.interface import Recipe
from methods.lcm import LCM, LCMLoRA
from methods.lcm.objective import LcmObjective, LcmRecipe
from methods.pipelines import quiet_libraries
from methods.progressive import ProgressiveDistillation
from methods.progressive.objective import PdObjective, PdRecipe, Round, rounds
from methods.sampling import PipelineMethod
from methods.sdxl import SDXL

GUIDANCE_SCALE = SDXL.default_recipe.guidance_scale
"""Of the teacher, for the students that replace its guided sampling: the scale that the stock pipeline samples at."""

ADD_RECIPE = AddRecipe(
    teacher_guidance=GUIDANCE_SCALE,
    optimizer="adamw",
    discriminator_optimizer="adamw",
    student_rate=1e-5,
    discriminator_rate=1e-4,
    ema_decay=0.999,
)
"""The paper gives none of these; the other choices are those that the shapes suite was tuned on."""

LCM_RECIPE = LcmRecipe(w_min=2.0, w_max=14.0)
"""w as in arXiv 2310.04378; the grid of 50, the EMA target and the distance are diffusers' training example's."""

LCM_GUIDANCE_EMBEDDING = 256
"""Width of the embedded guidance scale, that of the released LCM-SDXL."""

LCM_LORA_RECIPE = LcmRecipe(w_min=7.5, w_max=7.5)
"""w as in arXiv 2311.05556."""

LORA_RANK = 64
"""With the layers of `methods.distill.lora` SDXL's adapter has the 197 million parameters of the paper."""

PD_RECIPE = PdRecipe(guidance_scale=GUIDANCE_SCALE)


@dataclass(frozen=True)
class Made:
    """An objective ready to train, and what the sampled student wants. `note` says which choices were made.

    `as_unet` gives, for the length of a `with`, the UNet that samples what "student" of the trained networks holds.
    """

    objective: Objective
    recipe: Recipe
    config: TrainConfig
    note: dict[str, Any]
    pixels: bool = False
    grid_steps: tuple[int, ...] = (1, 4)
    as_unet: Callable[[nn.Module], AbstractContextManager[Any]] = nullcontext


@dataclass(frozen=True)
class Stage:
    """One training: its folder under `--out`, what makes it of the teacher's pipeline, the request and the dtype of
    what is frozen, and the stage before, whose student is its teacher (None: `--teacher`)."""

    name: str
    make: Callable[[Any, FullScale, torch.dtype], Made]
    taught_by: str | None = None


def make_add(pipe: Any, request: FullScale, frozen: torch.dtype) -> Made:
    """Adversarial diffusion distillation with DINOv2 under the discriminator. Iterations and batch: its ablations'."""
    rate = request.learning_rate or ADD_RECIPE.student_rate
    recipe = replace(ADD_RECIPE, features=request.features, student_rate=rate)
    features = load_features(request.features)
    student = _trainable(copy.deepcopy(pipe.unet), request)
    vae: Any = FullPrecisionVae(pipe.vae)
    if request.gradient_checkpointing:
        pipe.vae.enable_gradient_checkpointing()
    objective = AddObjective(_denoiser(pipe, student), _frozen(pipe, frozen), vae, features, recipe)
    note = {"recipe": vars(recipe), "feature_depths": features.depths}
    return Made(objective, _sized(ADD, request), recipe.training(**_duration(request)), note, pixels=True)


def make_lcm(pipe: Any, request: FullScale, frozen: torch.dtype) -> Made:
    """Latent consistency distillation with embedded guidance; the learning rate is that of its paper."""
    student = _trainable(with_guidance_input(pipe.unet, LCM_GUIDANCE_EMBEDDING), request)
    objective = LcmObjective(_denoiser(pipe, student), _frozen(pipe, frozen), LCM_RECIPE)
    return Made(objective, _sized(LCM, request), _config(request, 8e-6), {"recipe": vars(LCM_RECIPE)})


def make_lcm_lora(pipe: Any, request: FullScale, frozen: torch.dtype) -> Made:
    """Latent consistency distillation into an adapter. One UNet, frozen, is the student's base and the teacher."""
    with quiet_libraries():
        unet = pipe.unet.to(frozen)
    add_lora(unet, LORA_RANK)
    unet.train()
    if request.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    objective = LcmObjective(_denoiser(pipe, unet), _denoiser(pipe, WithoutAdapter(unet)), LCM_LORA_RECIPE)
    note = {"recipe": vars(LCM_LORA_RECIPE), "rank": LORA_RANK}
    return Made(objective, _sized(LCMLoRA, request), _config(request, 1e-4), note, as_unet=partial(wearing, unet))


def make_pd(this_round: Round, pipe: Any, request: FullScale, frozen: torch.dtype) -> Made:
    """One round of progressive distillation. The student predicts what its teacher predicts."""
    student = _trainable(copy.deepcopy(pipe.unet), request)
    objective = PdObjective(_denoiser(pipe, student), _frozen(pipe, frozen), this_round, PD_RECIPE.weighting)
    steps = this_round.student_steps
    recipe = replace(_sized(ProgressiveDistillation, request), allowed_steps=(steps, steps))
    config = replace(_config(request, 1e-5), seed=request.seed + steps)  # another noise in each round
    note = {"recipe": vars(PD_RECIPE), "round": this_round.name}
    return Made(objective, recipe, config, note, grid_steps=(steps,))


def pd_stages(recipe: PdRecipe) -> tuple[Stage, ...]:
    """The rounds one after the other, each taught by the student of the one before."""
    stages: list[Stage] = []
    for each in rounds(recipe):
        before = stages[-1].name if stages else None
        stages.append(Stage(f"pd/{each.name}", partial(make_pd, each), before))
    return tuple(stages)


STUDENTS: dict[str, tuple[Stage, ...]] = {
    "add": (Stage("add", make_add),),
    "lcm": (Stage("lcm", make_lcm),),
    "lcm-lora": (Stage("lcm-lora", make_lcm_lora),),
    "pd": pd_stages(PD_RECIPE),
}


class FullPrecisionVae(nn.Module):
    """An autoencoder that decodes in float32, whatever is cast around it: SDXL's overflows in half precision."""

    def __init__(self, vae: nn.Module) -> None:
        super().__init__()
        self.vae, self.config = vae, vae.config

    def decode(self, latents: torch.Tensor) -> Any:
        """As the autoencoder's own; the gradient passes."""
        with torch.autocast(latents.device.type, enabled=False):
            return self.vae.decode(latents.float())  # type: ignore[operator]


def _trainable(student: Any, request: FullScale) -> Any:
    student = student.float().requires_grad_(True).train()
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
    return TrainConfig(learning_rate=rate, ema_decay=0.999, **_duration(request))


def _duration(request: FullScale) -> dict[str, Any]:
    """What the configurations of all students have alike."""
    return {
        "steps": request.steps,
        "batch_size": request.batch_size,
        "seed": request.seed,
        "warmup_steps": min(500, max(1, request.steps // 10)),
        "decay_fraction": 0.1,
        "checkpoint_every": request.checkpoint_every,
    }


def _sized(method: type[PipelineMethod], request: FullScale) -> Recipe:
    """How the method samples, at the size that the student learned."""
    return replace(method.default_recipe, height=request.resolution, width=request.resolution)
