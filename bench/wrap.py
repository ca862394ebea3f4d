"""Anything that makes images from prompts and seeds, as a method: for models that are no diffusers pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from bench.errors import FewstepError, UsageError
from methods.interface import Method, MethodInfo, Recipe, SampleRequest

Function = Callable[[list[str], list[int], int], Any]


class ImageFunction(Method):
    """`function(prompts, seeds, num_inference_steps)` as a method that `evaluate` takes.

    It gives one image a prompt: uint8 (N, 3, H, W) or (N, H, W, 3), a tensor, an array, or a list of PIL images. Image
    i must depend on prompt i and seed i alone, so seed each image by itself.

    Args:
        function: What makes the images.
        device: "cpu", or "cuda" where the work is done on a GPU, so that latency is measured there.
        modules: The networks inside, by what they are ("text_encoder", "denoiser", "decoder"), where there are any:
            evaluations are counted and the parts of the latency measured on them.
    """

    info = MethodInfo("mine", "a function given in memory", "", None, "", (1,))

    def __init__(
        self, function: Function, *, device: str = "cpu", modules: Mapping[str, nn.Module] | None = None
    ) -> None:
        if not callable(function):
            raise UsageError(f"ImageFunction takes a function of prompts, seeds and steps, not {function!r}")
        self.function = function
        self.device = device
        self.recipe = Recipe(scheduler="its own")
        self._modules = dict(modules or {})

    @classmethod
    def load(cls, weights: Path, *, device: torch.device, dtype: torch.dtype) -> Self:
        """Not possible: a function has no folder.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{weights}: an ImageFunction wraps a function in memory and loads nothing")

    @property
    def components(self) -> Mapping[str, nn.Module]:
        return self._modules

    def unsupported(self, request: SampleRequest) -> str | None:
        if request.guidance_scale is not None:
            return "a function takes no guidance scale; set it inside the function"
        return None if request.prompts else "no prompts were given"

    def sample(self, request: SampleRequest) -> Tensor:
        """uint8 (N, 3, H, W) on the CPU.

        Raises:
            FewstepError: where the function gives anything else, saying what.
        """
        found = self.function(list(request.prompts), list(request.seeds), request.num_inference_steps)
        return _as_images(found, len(request.prompts))


def _as_images(found: Any, count: int) -> Tensor:
    if isinstance(found, Sequence) and not isinstance(found, str | bytes):
        found = np.stack([np.asarray(image) for image in found])
    images = torch.as_tensor(found).cpu()
    if images.ndim == 4 and images.shape[1] != 3 and images.shape[-1] == 3:
        images = images.permute(0, 3, 1, 2)
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[:2] != (count, 3):
        hint = "; from floats in 0..1: (x * 255).round()" if images.is_floating_point() else ""
        raise FewstepError(
            f"the function gave {str(images.dtype).removeprefix('torch.')} {tuple(images.shape)};"
            f" uint8 ({count}, 3, H, W) or ({count}, H, W, 3) is due{hint}"
        )
    return images.contiguous()
