"""Pack what was trained into the zoo, with the teacher's preference scores that every comparison is made against."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.judging import Prompt, image_seed
from bench.suites.shapes.info import INFO
from bench.suites.shapes.suite import ShapesSuite
from bench.suites.shapes.training.students.cfg_aware import CFG_AWARE_GUIDANCE_SCALE
from bench.suites.shapes.training.students.common import CURRENCIES, SHARED, below
from bench.suites.shapes.training.students.gd import GD_GUIDANCE_SCALE
from bench.suites.shapes.training.students.lcm import LCM_GUIDANCE_SCALE
from bench.suites.shapes.training.students.progressive import stage_of
from bench.suites.shapes.zoo import Checkpoint, LeftOut, Zoo, training_target, write_zoo
from bench.training.workshop import Workshop
from methods.add import ADD
from methods.cfg_aware import CFGAware
from methods.dmd2 import DMD2
from methods.gan import StyleGAN
from methods.guidance_distillation import GuidanceDistillation
from methods.instaflow import InstaFlow
from methods.interface import Recipe, SampleRequest
from methods.lcm import LCM, LCMLoRA
from methods.progressive import ProgressiveDistillation
from methods.sdxl import SDXLEuler
from methods.ufogen import UFOGen

TEACHER_GUIDANCE_SCALE = 2.5
"""Of 1.5, 2, 2.5 and 3 the one with most exact images on 600 prompts of the validation split."""

BASELINE_STEPS = 25
_SLICE = 50  # as `bench run` slices by default, so that the baseline is the very images it is compared with

RECIPES = {
    "teacher": Recipe(
        scheduler="EulerDiscreteScheduler", guidance="classifier-free", guidance_scale=TEACHER_GUIDANCE_SCALE
    ),
    "lcm": replace(LCM.default_recipe, guidance_scale=LCM_GUIDANCE_SCALE),
    "add": ADD.default_recipe,
    "lcm-lora": LCMLoRA.default_recipe,
    **{
        f"pd-{steps}": replace(ProgressiveDistillation.default_recipe, allowed_steps=(steps, steps))
        for steps in ProgressiveDistillation.info.steps
    },
    "gd": replace(GuidanceDistillation.default_recipe, guidance_scale=GD_GUIDANCE_SCALE),
    **{f"dmd2-{steps}": replace(DMD2.default_recipe, allowed_steps=(steps, steps)) for steps in DMD2.info.steps},
    "instaflow": InstaFlow.default_recipe,
    "cfg-aware": replace(CFGAware.default_recipe, guidance_scale=CFG_AWARE_GUIDANCE_SCALE),
    "ufogen": UFOGen.default_recipe,
    "gan": StyleGAN.default_recipe,
}
"""How each checkpoint of the suite is sampled."""

STUDENTS = (
    "add", "lcm", "lcm-lora", "pd-4", "pd-2", "pd-1", "style",
    "gd", "dmd2-4", "dmd2-1", "instaflow", "cfg-aware", "ufogen", "gan",
)  # fmt: skip
"""In the order in which they are packed while there is room; "style" is the second base of LCM-LoRA."""

LIMIT_BYTES = 40 * 2**20
"""Of all weights together."""


def pack_zoo(shop: Workshop, folder: Path, limit: int | None = LIMIT_BYTES) -> None:
    """Write the zoo to `folder`: what is finished, then the baseline's scores, which need the packed teacher.

    A student that would take it over `limit` bytes is left out, in the order of `STUDENTS`; None is no limit.
    """
    teacher = shop.weights("teacher")
    files: dict[str, dict[str, Tensor]] = {
        "vae": shop.weights("vae"),
        "teacher": below(teacher, "unet."),
        **{part: below(teacher, f"{part}.") for part in SHARED},
        "recogniser": shop.weights("recogniser"),
        "clip": shop.weights("clip"),
        "preference": {k: v for k, v in shop.weights("preference").items() if not k.startswith("text_")},
    }
    students, left_out = students_that_fit(shop, _bytes(files), math.inf if limit is None else limit)
    files |= students
    made = {name: _note(shop, name) for name in (*files, *SHARED)}
    checkpoints = assembled(students)
    scaling_factor = float(_note(shop, "teacher")["scaling_factor"])
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(shop.folder / "tokenizer", folder / "tokenizer", dirs_exist_ok=True)
    write_zoo(folder, files, made, checkpoints, scaling_factor, left_out)
    files["baseline"] = {"seed-0": baseline_scores(Zoo(folder), seed=0)}
    made["baseline"] = {"steps": BASELINE_STEPS, "method": SDXLEuler.info.name, "prompts": INFO.default_limit}
    write_zoo(folder, files, made, checkpoints, scaling_factor, left_out)


def students_that_fit(
    shop: Workshop, used: int, limit: float
) -> tuple[dict[str, dict[str, Tensor]], dict[str, LeftOut]]:
    """The finished students in order while they fit beside `used` bytes, and those that do not."""
    fitting: dict[str, dict[str, Tensor]] = {}
    left_out: dict[str, LeftOut] = {}
    for name in STUDENTS:
        if not shop.finished(stage_of_checkpoint(name)):
            continue
        tensors = shop.weights(stage_of_checkpoint(name))
        if used + _bytes({name: tensors}) <= limit:
            fitting[name] = tensors
            used += _bytes({name: tensors})
        else:
            target = training_target(name)
            trained = target if shop.finished(target) else stage_of_checkpoint(name)
            left_out[name] = LeftOut(target, float(_note(shop, trained)["seconds"]))
    return fitting, left_out


def _bytes(files: Mapping[str, Mapping[str, Tensor]]) -> int:
    """How large the files will be: half precision, and a header of about a hundred bytes a tensor."""
    return sum(tensor.numel() * 2 + 128 for tensors in files.values() for tensor in tensors.values())


def assembled(students: Iterable[str]) -> dict[str, Checkpoint]:
    """What can be assembled: the teacher, every student, and the LoRA on the second base where both are there."""
    names = ("teacher", *students)
    made = {
        name: Checkpoint(name, RECIPES.get(name, RECIPES["teacher"]), pipeline="gan" if name == "gan" else None)
        for name in names
    }
    for name, base in (("lcm-lora", "teacher"), ("lcm-lora-style", "style")):
        if "lcm-lora" in names and base in names:
            made[name] = Checkpoint(base, RECIPES["lcm-lora"], lora="lcm-lora")
    return made


def stage_of_checkpoint(name: str) -> str:
    """The training stage of a student's weights."""
    return stage_of(int(name.removeprefix("pd-"))) if name.startswith("pd-") else name


def baseline_scores(zoo: Zoo, seed: int, n: int = INFO.default_limit) -> Tensor:
    """float32 (n,): the preference score of the teacher's image at 25 steps for each default prompt."""
    suite = ShapesSuite(zoo)
    prompts = suite.prompts(n)
    device = torch.device("cpu")
    method = SDXLEuler.load(suite.checkpoint("sdxl-euler"), device=device, dtype=torch.float32)
    scorer = suite.judges(device).preference
    if scorer is None:
        raise RuntimeError("the shapes suite always has a preference model")
    parts: list[Tensor] = []
    for start in range(0, n, _SLICE):
        part = prompts[start : start + _SLICE]
        parts.append(scorer(method.sample(_request(part, start, seed)), part))
    return torch.cat(parts)


def _request(prompts: list[Prompt], start: int, seed: int) -> SampleRequest:
    return SampleRequest(
        prompts=tuple(prompt.text for prompt in prompts),
        seeds=tuple(image_seed(seed, start + k) for k in range(len(prompts))),
        num_inference_steps=BASELINE_STEPS,
    )


def _note(shop: Workshop, name: str) -> dict[str, Any]:
    """What made a file; the text encoders were trained with the teacher. A round's note has the sum of all rounds."""
    note = shop.note("teacher" if name in SHARED else stage_of_checkpoint(name))
    if name.startswith("pd-") and shop.finished("pd"):
        whole = shop.note("pd")
        note["all_rounds"] = {currency: whole[currency] for currency in CURRENCIES}
    return note
