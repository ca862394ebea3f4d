"""A student in its training folder as an ordinary pipeline folder, with the weights that the zoo would ship."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from bench.errors import WeightsError
from bench.suites.shapes.training.pack import RECIPES, stage_of_checkpoint
from bench.suites.shapes.training.students.common import SHARED, below
from bench.suites.shapes.zoo import build_gan, build_pipeline
from bench.training.workshop import WEIGHTS, Workshop
from methods.interface import Recipe
from methods.weights import sha256


def assemble(shop: Workshop, checkpoint: str, snapshot: str | None = None) -> Path:
    """The pipeline folder of "add", "pd-4" and so on; of a `snapshot` such as "1/8" where one is named.

    Raises:
        WeightsError: where the student is not trained, or was not kept at that share of its training.
    """
    stage = stage_of_checkpoint(checkpoint)
    if snapshot is None:
        path = shop.stage(stage) / WEIGHTS
        shop.weights(stage)
    else:
        path = shop.snapshot(stage, snapshot)
    if not path.exists():
        raise WeightsError(f"{checkpoint} was not kept after {snapshot} of its training; there is no {path}")
    return assembled_from(shop, path, RECIPES[checkpoint], kind=checkpoint)


def assembled_from(shop: Workshop, path: Path, recipe: Recipe, kind: str = "unet") -> Path:
    """The pipeline folder, below the folder of `path`, of the student whose tensors are in the file `path`.

    `kind` "gan" and "lcm-lora" are pipelines of their own; any other is a UNet.
    """
    folder = path.parent / "pipelines" / f"{path.stem}-{sha256(path)[:12]}"
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{path.stem}-", dir=folder.parent))
    _write(shop, _rounded(load_file(path)), recipe, kind, partial)
    try:
        partial.rename(folder)
    except OSError:  # another process was faster
        shutil.rmtree(partial)
    return folder


def _write(shop: Workshop, tensors: dict[str, Tensor], recipe: Recipe, kind: str, folder: Path) -> None:
    teacher = _rounded(shop.weights("teacher"))
    shared = {"vae": _rounded(shop.weights("vae")), **{part: below(teacher, f"{part}.") for part in SHARED}}
    note = shop.note("teacher")
    factor = float(note["scaling_factor"])
    if kind == "gan":
        build_gan(folder, shared, tensors, scaling_factor=factor, recipe=recipe)
        return
    unet, lora = (below(teacher, "unet."), tensors) if kind == "lcm-lora" else (tensors, None)
    build_pipeline(folder, shared, unet, scaling_factor=factor, recipe=recipe, lora=lora)


def _rounded(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Through half precision, in which the zoo stores them."""
    return {key: value.half().float() if value.is_floating_point() else value for key, value in tensors.items()}
