"""What a full-scale training leaves: an ordinary pipeline folder with its recipe, and notes of what made it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from bench.errors import UsageError
from bench.folder import write_json
from bench.fullscale.teacher import load_teacher
from bench.training.workshop import MADE
from methods.distill.lora import Adapter, save_lora
from methods.interface import Recipe
from methods.pipelines import make_scheduler, quiet_libraries
from methods.recipes import write_recipe
from methods.weights import write_manifest

CHECKPOINT = "checkpoint"
BEGUN = "begun.json"


def check_begun(folder: Path, now: Mapping[str, Any], *, write: bool) -> None:
    """Refuse to go on in a folder that was begun with something else; note `now` where it was not begun.

    Raises:
        UsageError: naming the first thing that differs.
    """
    path = folder / BEGUN
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        for name, value in now.items():
            if before.get(name) != value:
                raise UsageError(f"{folder} was begun with {name} {before.get(name)}, not {value}; give another --out")
    elif write:
        write_json(path, now)


def trained_steps(folder: Path) -> int:
    """The steps of the finished checkpoint in a stage's folder, 0 where there is none."""
    path = folder / CHECKPOINT / MADE
    return int(json.loads(path.read_text(encoding="utf-8"))["steps"]) if path.exists() else 0


def write_checkpoint(folder: Path, teacher: Path, student: nn.Module, recipe: Recipe, made: Mapping[str, Any]) -> Path:
    """The teacher's pipeline with the student's UNet, or with its LoRA beside it, and the recipe's scheduler.

    It is there whole or not at all. Stock diffusers loads the folder; `bench run --weights METHOD=FOLDER` does too.
    """
    pipe = load_teacher(teacher)
    student = student.to("cpu").float()
    if not isinstance(student, Adapter):
        pipe.unet = student
    pipe.scheduler = make_scheduler(pipe.scheduler.config, recipe)
    partial, target = folder / f"{CHECKPOINT}.partial", folder / CHECKPOINT
    shutil.rmtree(partial, ignore_errors=True)
    with quiet_libraries():
        pipe.save_pretrained(partial, safe_serialization=True)
        if isinstance(student, Adapter):
            save_lora(partial, student.tensors())
    write_recipe(partial, recipe)
    write_manifest(partial)
    write_json(partial / MADE, made)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    return target
