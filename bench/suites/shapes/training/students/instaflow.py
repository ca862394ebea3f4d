"""Train InstaFlow: pairs of the teacher, a reflow along them, pairs of that flow, and its distillation into one step.

Each of the four goes on where it was stopped, and none is done twice.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from bench.suites.shapes.generator.networks import make_unet
from bench.suites.shapes.training.data import LatentBatches
from bench.suites.shapes.training.stages import latents
from bench.suites.shapes.training.students.common import denoiser, load_teacher, student_grid
from bench.suites.shapes.training.students.lcm import LCM
from bench.suites.shapes.training.students.pairs import PairBatches, PairFolder, Sampler
from bench.suites.shapes.training.teacher import Teacher
from bench.suites.shapes.training.texts import encoded_texts
from bench.suites.shapes.zoo import SCHEDULER_CONFIG
from bench.training.workshop import WEIGHTS, Workshop
from methods.distill.denoiser import Condition
from methods.distill.loop import TrainConfig
from methods.distill.objective import Objective
from methods.distill.parallel import wait_for_all
from methods.instaflow import InstaFlow
from methods.instaflow.objective import (
    Flow,
    FlowDistillationObjective,
    InstaFlowRecipe,
    ReflowObjective,
    flow_images,
    teacher_images,
)
from methods.weights import sha256

INSTAFLOW_RECIPE = InstaFlowRecipe(pairs=10_240, teacher_steps=10, guidance_scale=2.5, flow_steps=8)
"""Ten guided steps of the teacher a pair, so that there are enough pairs for the evaluations that the others have."""

REFLOW = replace(LCM, steps=600, seed=46)
DISTILL = replace(LCM, steps=600, seed=47)
_REFLOW_STEPS = (1, 8)


def train_instaflow(shop: Workshop) -> None:
    """All four parts; those that are finished are left as they are."""
    teacher = load_teacher(shop)
    reflow, distill = shop.seeded(REFLOW), shop.seeded(DISTILL)
    batches = latents(shop, reflow.batch_size, reflow.seed)
    recipe = INSTAFLOW_RECIPE
    guided = partial(
        teacher_images, denoiser(teacher.unet),
        num_inference_steps=recipe.teacher_steps, guidance_scale=recipe.guidance_scale,
    )  # fmt: skip
    first = _pairs(shop, "instaflow/pairs", "teacher", encoded_texts(batches, teacher), guided)
    if not _finished(shop, "instaflow/reflow"):
        unet = copy.deepcopy(teacher.unet).requires_grad_(True)
        _train(
            shop, "instaflow/reflow", ReflowObjective(_flow(unet)), reflow, first, teacher, batches, _REFLOW_STEPS,
            seconds_before=first.seconds(),
        )  # fmt: skip
    reflowed = _flow(_student(shop, "instaflow/reflow"))
    straight = partial(flow_images, reflowed, num_inference_steps=recipe.flow_steps)
    second = _pairs(shop, "instaflow/flow-pairs", "instaflow/reflow", encoded_texts(batches, teacher), straight)
    unet = copy.deepcopy(reflowed.unet).requires_grad_(True)
    _train(
        shop, "instaflow", FlowDistillationObjective(_flow(unet), recipe), distill, second, teacher, batches, (1,),
        seconds_before=_seconds(shop, "instaflow/reflow") + second.seconds(),
    )  # fmt: skip


def budget() -> dict[str, int]:
    """Images of both trainings; evaluations behind both sets of pairs, the guided teacher's and the flow's."""
    recipe = INSTAFLOW_RECIPE
    return {
        "images": REFLOW.steps * REFLOW.batch_size + DISTILL.steps * DISTILL.batch_size,
        "teacher_evaluations": recipe.pairs * (2 * recipe.teacher_steps + recipe.flow_steps),
    }


def _pairs(
    shop: Workshop, name: str, source: str, conditions: Callable[[Tensor], Condition], sampler: Sampler
) -> PairFolder:
    """A set of pairs, computed unless it is there; it belongs to the weights that made it, whichever the seed."""
    digest = sha256(shop.stage(source) / WEIGHTS)[:12]
    pairs = PairFolder(shop.folder / name / f"{digest}-{INSTAFLOW_RECIPE.pairs}", INSTAFLOW_RECIPE.pairs)
    pairs.write(shop, conditions, sampler)
    return pairs


def _train(
    shop: Workshop,
    name: str,
    objective: Objective,
    config: TrainConfig,
    pairs: PairFolder,
    teacher: Teacher,
    batches: LatentBatches,
    grid_steps: tuple[int, ...],
    seconds_before: float = 0.0,
) -> None:
    torch.manual_seed(config.seed)
    batch_at = PairBatches(pairs, encoded_texts(batches, teacher), config.batch_size, config.seed)
    grid = student_grid(shop, teacher, batches.scaling_factor, InstaFlow.default_recipe, grid_steps)
    data = f"{pairs.count:,} pairs, {config.steps * config.batch_size:,} seen"
    averages, made = shop.run(name, objective, batch_at, config, data=data, grid=grid, measure_every=200)
    wait_for_all()
    whole = {**made, "seconds": round(made["seconds"] + seconds_before, 1)}
    shop.finish(name, averages["student"].state_dict(), {**whole, **budget(), "recipe": vars(INSTAFLOW_RECIPE)})
    wait_for_all()


def _seconds(shop: Workshop, name: str) -> float:
    """Of a finished part and what came before it."""
    return float(shop.note(name)["seconds"])


def _finished(shop: Workshop, name: str) -> bool:
    finished = shop.finished(name)
    wait_for_all()  # so that all processes saw the same
    return finished


def _flow(unet: UNet2DConditionModel) -> Flow:
    return Flow(unet, int(SCHEDULER_CONFIG["num_train_timesteps"]))


def _student(shop: Workshop, name: str) -> UNet2DConditionModel:
    """The student of a finished part, frozen."""
    unet = make_unet()
    unet.load_state_dict(shop.weights(name))
    return unet.eval().requires_grad_(False)
