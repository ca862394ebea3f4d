"""What a stored image was made from: everything that may change a pixel of it. The key of the image cache.

An image is kept only where all of this is the same: the cell (method, steps, guidance, seed, size, dtype, device, batch
size), the weights by hash, the recipe, each prompt with its seed, the versions of the libraries that sample, the way
the weights are loaded, and the source of the sampling code itself. The machine is no part of it: on another one, images
differ by rounding, and the record names the slices that were sampled elsewhere.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import methods
from bench.judging import Prompt, image_seed
from bench.provenance import installed
from bench.record import Cell
from methods.interface import Method

PACKAGES = ("torch", "diffusers", "transformers", "tokenizers", "accelerate", "peft", "safetensors", "numpy")
_CODE = ("*.py", "schedulers/*.py", "diffusion/*.py")
_ROOT = Path(methods.__file__).parent


def image_source(
    cell: Cell, weights: str, recipe: Any, prompts: Sequence[Prompt], loading: Mapping[str, Any], method: Method
) -> dict[str, Any]:
    """The key of a cell's images, as JSON data. `prompts` has one entry an image."""
    return {
        "cell": cell.stated,
        "weights": weights,
        "recipe": recipe,
        "prompts": prompts_hash(prompts, cell.seed, cell.images_per_prompt),
        "loading": dict(loading),
        "versions": installed(PACKAGES),
        "code": code_hash(type(method)),
    }


def prompts_hash(prompts: Sequence[Prompt], seed: int, images_per_prompt: int) -> str:
    """sha256 over file name, text and seed of every image, in order."""
    digest = hashlib.sha256()
    for index, prompt in enumerate(prompts):
        number = image_seed(seed, index // images_per_prompt, prompt.sample)
        digest.update(f"{prompt.stem}\0{prompt.text}\0{number}\0".encode())
    return digest.hexdigest()


@cache
def code_hash(kind: type[Method]) -> str:
    """sha256 over the code that every method is sampled by, and the module that defines `kind`."""
    files = {path.relative_to(_ROOT).as_posix(): path for pattern in _CODE for path in _ROOT.glob(pattern)}
    own = inspect.getsourcefile(kind)
    if own is not None:
        files[kind.__module__] = Path(own)
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0".encode() + files[name].read_bytes() + b"\0")
    return digest.hexdigest()
