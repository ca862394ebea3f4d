"""Train one row of an ablation: ADD with something changed, short, from a seed of its own.

All rows of a seed see the same images in the same order, start from the same student where they start from the
teacher's weights, and take the same number of steps.
"""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from diffusers import UNet2DConditionModel

from bench.suites.shapes.generator.networks import UNET_WIDTHS, make_unet
from bench.suites.shapes.training.eyes import eyes_of, load_caption_encoder, load_features
from bench.suites.shapes.training.second_teacher import SECOND, SECOND_WIDTHS
from bench.suites.shapes.training.stages import latents, load_vae
from bench.suites.shapes.training.students.add import ADD_RECIPE
from bench.suites.shapes.training.students.common import CURRENCIES, Conditioned, data_note, denoiser, load_teacher
from bench.suites.shapes.training.students.start import START, START_RECIPE, distil_start, taken, with_start
from bench.suites.shapes.training.teacher import Teacher
from bench.training.lock import held
from bench.training.workshop import Workshop
from methods.add.objective import AddObjective
from methods.add.recipe import AddRecipe
from methods.distill.checkpoint import CHECKPOINT

ABLATION_RECIPE = replace(ADD_RECIPE, discriminator_lead=100)
ABLATION = ABLATION_RECIPE.training(steps=250, batch_size=32, seed=60, checkpoint_every=50)
"""The budget of a row: two minutes on two cores, so that seventeen rows from three seeds fit a sitting."""
ABLATION_START = replace(START, steps=START.steps // 4)
"""The rows of a seed that begin with a teacher's weights share one start, a quarter of the shipped student's."""

FOLDER = "ablation"
"""The stages of the rows lie below it."""


@dataclass(frozen=True)
class Variant:
    """What a row trains: the recipe, how the student begins, and whose sizes student and teacher have."""

    recipe: AddRecipe
    start: str
    student: str
    teacher: str

    @property
    def stage(self) -> str:
        """Its folder, by everything that makes its student what it is."""
        return f"{FOLDER}/{_digest(asdict(self), asdict(ABLATION), asdict(ABLATION_START))}"

    @property
    def start_stage(self) -> str | None:
        """The stage that makes the student it begins as; None where it begins with random weights."""
        if self.start == "random":
            return None
        return f"{FOLDER}/start-{_digest(self.student, asdict(START_RECIPE), asdict(ABLATION_START))}"

    @property
    def needs(self) -> tuple[str, ...]:
        """Training stages that must be finished before."""
        return tuple(dict.fromkeys(("teacher", self.student, self.teacher, *eyes_of(self.recipe))))


def variant(changes: dict[str, Any], start: str, student: str, teacher: str) -> Variant:
    """The suite's own recipe, with a shorter lead, and `changes`."""
    return Variant(replace(ABLATION_RECIPE, **changes), start, student, teacher)


def train_variant(shop: Workshop, it: Variant) -> dict[str, Any]:
    """Train `it`, going on where it was stopped; the note of its making. Finished rows are left as they are."""
    if not shop.finished(it.stage):
        start = _started(shop, it)
        config = shop.seeded(ABLATION)
        torch.manual_seed(config.seed)
        encoders = load_teacher(shop)
        vae = load_vae(shop)
        captions = load_caption_encoder(shop, it.recipe.caption_encoder)
        data = latents(shop, config.batch_size, config.seed)
        batches = Conditioned(data, encoders, with_pixels=True, caption_encoder=captions)
        vae.register_to_config(scaling_factor=batches.latents.scaling_factor)
        student = _unet(shop, encoders, it.student)
        if it.start == "random":
            student = make_unet(_widths(it.student))
        elif it.start_stage is not None:
            student.load_state_dict(shop.weights(it.start_stage))
        teacher = _unet(shop, encoders, it.teacher)
        features = load_features(shop, it.recipe.features)
        objective = AddObjective(
            denoiser(student.requires_grad_(True)),
            denoiser(teacher),
            vae,
            features,
            it.recipe,
            caption_width=captions.width if captions else None,
        )
        averages, made = shop.run(it.stage, objective, batches, config, data=data_note(config), student=None)
        images = (config.steps - it.recipe.discriminator_lead) * config.batch_size
        counted = {"images": images, "teacher_evaluations": images * it.recipe.teacher_evaluations}
        facts = {"variant": asdict(it), "steps": config.steps, "seed": shop.seed}
        shop.finish(it.stage, averages["student"].state_dict(), with_start({**made, **counted, **facts}, start))
    (shop.stage(it.stage) / CHECKPOINT).unlink(missing_ok=True)  # 35 MB that a finished row does not need
    return shop.note(it.stage)


def _started(shop: Workshop, it: Variant) -> dict[str, Any]:
    """What the student took that `it` begins as, trained first unless it is there; rows of a seed share it."""
    stage = it.start_stage
    if stage is None:
        return dict.fromkeys(CURRENCIES, 0)
    with held(shop.stage(stage) / "lock", wait=True):
        if not shop.finished(stage):
            encoders = load_teacher(shop)
            distil_start(shop, stage, ABLATION_START, encoders, _unet(shop, encoders, it.student))
        (shop.stage(stage) / CHECKPOINT).unlink(missing_ok=True)
    return taken(shop, stage)


def _unet(shop: Workshop, teacher: Teacher, stage: str) -> UNet2DConditionModel:
    """A frozen copy of the UNet of a teacher's stage."""
    if stage == "teacher":
        return copy.deepcopy(teacher.unet)
    unet = make_unet(_widths(stage))
    unet.load_state_dict(shop.weights(stage))
    return unet.eval().requires_grad_(False)


def _widths(stage: str) -> tuple[int, int]:
    return SECOND_WIDTHS if stage == SECOND else UNET_WIDTHS


def _digest(*facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:10]
