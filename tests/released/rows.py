"""Rows of the table at a size that a test can afford, and the folder that each of them needs."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from methods.checkpoints.families import FAMILIES
from methods.checkpoints.table import Checkpoint, all_rows
from tests.released.layouts import PIXELS, SD15_SCHEDULER, add_lora, replace_unet, write_base

RUNNING = tuple(row for row in all_rows() if row.runs and row.repo is not None)
KOHYA = ("lcm-lora", "lightning-lora", "hyper-sd", "hyper-sd-unified")


def small(row: Checkpoint) -> Checkpoint:
    """The row, at a size of a few pixels, without the hash of the real file."""
    size = max(PIXELS, FAMILIES[row.family].size_multiple)
    return replace(row, sha256=None, recipe=replace(row.recipe, height=size, width=size))


def name_of(row: Checkpoint) -> str:
    """For a test's title."""
    return f"{row.method}-{row.family}-{'_'.join(str(count) for count in row.steps)}"


class Folders:
    """Layout-equal folders, each written once: what `folder(row)` gives must not be changed."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def folder(self, row: Checkpoint) -> Path:
        """The pipeline folder that `row` is loaded from."""
        embedded = row.recipe.guidance == "embedded" and row.family != "sana"
        turbo = row.method.startswith("add") and row.family == "sd21"
        kind = {"lora": "kohya" if row.method in KOHYA else "peft"}.get(row.kind, row.kind)
        name = "-".join([row.family, kind, *(["embedded"] if embedded else []), *(["turbo"] if turbo else [])])
        folder = self._root / name
        if not folder.exists():
            write_base(row.family, folder, embedded=embedded, scheduler=_EULER if turbo else None)
            if row.kind == "unet":
                replace_unet(folder)
            if row.kind == "lora":
                add_lora(folder, kohya=row.method in KOHYA)
        return folder

    def copy(self, row: Checkpoint, target: Path) -> Path:
        """A copy that a test may change."""
        return Path(shutil.copytree(self.folder(row), target))


_EULER = SD15_SCHEDULER | {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing"}
