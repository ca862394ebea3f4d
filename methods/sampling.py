"""What all methods on a stock diffusers pipeline share: load, say what is not supported, call the pipeline."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import lcm
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from methods.checkpoints.families import Family
from methods.diffusion.guidance import NO_GUIDANCE, normalise
from methods.diffusion.noise import generators
from methods.errors import FewstepError, UsageError, WeightsError
from methods.interface import Method, Recipe, SampleRequest
from methods.loading import settle
from methods.pipelines import (
    apply_recipe,
    call_arguments,
    check_call,
    fuse_lora,
    load_pipeline,
    read_recipe,
    timestep_arguments,
)
from methods.weights import LORA, SDXL

_MORE_EVALUATIONS = {"PNDMScheduler": 1}  # than steps: it evaluates the second timestep twice


@contextmanager
def _quiet_schedulers() -> Iterator[None]:
    """Schedulers warn of a recipe's own timesteps at every call; what pipelines have to say is let through."""
    logger = logging.getLogger("diffusers.schedulers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@dataclass(frozen=True)
class FixedScheduler:
    """A scheduler that a method uses whatever the checkpoint's recipe names."""

    name: str
    config: Mapping[str, object]


class PipelineMethod(Method):
    """A recipe and a pipeline folder. A subclass gives `info` and `default_recipe`, and need not define a function.

    The recipe is `recipe.json` in the folder, or `default_recipe` where there is none. A LoRA that lies beside the
    parts is added to the weights.
    """

    default_recipe: ClassVar[Recipe]
    family: ClassVar[Family] = SDXL
    fixed_scheduler: ClassVar[FixedScheduler | None] = None

    def __init__(self, pipe: Any, recipe: Recipe) -> None:
        """Take a loaded stock pipeline of the method's family; its scheduler is replaced by the recipe's."""
        if recipe.guidance != self.default_recipe.guidance:
            raise WeightsError(
                f"recipe.json says guidance {recipe.guidance!r}, but {self.info.name} is sampled with"
                f" {self.default_recipe.guidance!r}; this is another method's checkpoint"
            )
        if self.fixed_scheduler is not None:
            fixed = self.fixed_scheduler
            recipe = replace(recipe, scheduler=fixed.name, scheduler_config=fixed.config, timesteps={})
        apply_recipe(pipe, recipe, self.family)
        check_call(pipe, recipe, self.family)
        self.pipe = pipe
        self.recipe = recipe
        self._spacing_reasons: dict[int, str | None] = {}

    @classmethod
    def load(cls, weights: Path, *, device: torch.device, dtype: torch.dtype) -> Self:
        pipe = load_pipeline(weights, device=device, dtype=dtype, family=cls.family)
        try:
            method = cls(pipe, cls.recipe_of(weights))
        except WeightsError as error:
            raise error if str(weights) in str(error) else WeightsError(f"{weights}: {error}") from error
        if (weights / LORA).exists():
            scale = 1.0 if method.recipe.lora_scale is None else method.recipe.lora_scale
            fuse_lora(pipe, weights, scale=scale, denoiser=cls.family.denoiser)
        settle(pipe, device)
        return method

    @classmethod
    def recipe_of(cls, weights: Path) -> Recipe:
        """The recipe that the folder is sampled by.

        Raises:
            WeightsError: where its recipe.json is none.
        """
        return read_recipe(weights) or cls.default_recipe

    @property
    def components(self) -> Mapping[str, nn.Module]:
        names = self.family.text_encoders
        encoders = {name: network for name in names if (network := getattr(self.pipe, name, None)) is not None}
        return {**encoders, "denoiser": getattr(self.pipe, self.family.denoiser), "decoder": self.pipe.vae.decoder}

    def unsupported(self, request: SampleRequest) -> str | None:
        reasons = (self._wrong_batch(request), self._wrong_steps(request), self._wrong_guidance(request))
        return next((reason for reason in (*reasons, self._wrong_size(request)) if reason is not None), None)

    def sample(self, request: SampleRequest) -> Tensor:
        """uint8 (N, 3, H, W) on the CPU. Image i depends on prompt i and seed i alone.

        Raises:
            UsageError: for a request that `unsupported` gives a reason against.
            FewstepError: where the images are not finite.
        """
        if reason := self.unsupported(request):
            raise UsageError(f"{self.info.name}: {reason}")
        with _quiet_schedulers():
            return to_uint8(self.pipe(**self.pipeline_arguments(request), output_type="pt").images)

    def pipeline_arguments(self, request: SampleRequest) -> dict[str, Any]:
        """What the stock pipeline is called with; calling it without this package gives the same image."""
        height, width = self.size(request)
        steps, n = request.num_inference_steps, len(request.prompts)
        timesteps = self.recipe.timesteps.get(steps)
        return {
            "prompt": list(request.prompts),
            "generator": generators(request.seeds),
            "guidance_scale": self.guidance_scale(request),
            "height": height,
            "width": width,
            "num_inference_steps": steps,
            **({} if timesteps is None else {"timesteps": list(timesteps)}),
            **({"negative_prompt": [self.recipe.negative_prompt] * n} if self.recipe.negative_prompt else {}),
            **self.family.fixed_arguments,
            **call_arguments(self.recipe, steps),
        }

    def guidance_scale(self, request: SampleRequest) -> float:
        asked = self.recipe.guidance_scale if request.guidance_scale is None else request.guidance_scale
        return normalise(asked)

    def size(self, request: SampleRequest) -> tuple[int, int]:
        """Height and width: the request's, else the recipe's, else the checkpoint's."""
        default = _sample_size(self.pipe, self.family) * self.pipe.vae_scale_factor
        sizes = ((request.height, self.recipe.height), (request.width, self.recipe.width))
        height, width = (next((size for size in pair if size is not None), default) for pair in sizes)
        return height, width

    def _wrong_batch(self, request: SampleRequest) -> str | None:
        if not request.prompts:
            return "no prompts were given"
        if len(request.prompts) != len(request.seeds):
            return f"{len(request.prompts)} prompts but {len(request.seeds)} seeds; give one seed an image"
        return None

    def _wrong_steps(self, request: SampleRequest) -> str | None:
        steps, (fewest, most) = request.num_inference_steps, self.recipe.allowed_steps
        if not fewest <= steps <= most:
            meant = f"{fewest} to {most}" if most > fewest else f"{most} alone"
            return f"{steps} steps; this checkpoint is meant for {meant}"
        if steps not in self.recipe.timesteps and steps not in self._spacing_reasons:
            self._spacing_reasons[steps] = self._wrong_spacing(steps)
        return self._spacing_reasons.get(steps)

    def _wrong_spacing(self, steps: int) -> str | None:
        """Why the scheduler cannot make exactly `steps` timesteps, or None."""
        scheduler = copy.deepcopy(self.pipe.scheduler)
        try:
            scheduler.set_timesteps(**timestep_arguments(self.recipe, steps, self.family))
        except ValueError as error:
            return f"{steps} steps: {error}"
        kind = type(scheduler).__name__
        spaced = len(scheduler.timesteps) - _MORE_EVALUATIONS.get(kind, 0) - (kind == "SCMScheduler")
        if scheduler.order == 1 and spaced != steps:
            return f"{steps} steps, but {type(scheduler).__name__} makes {spaced} of them; ask for another count"
        return None

    def _wrong_guidance(self, request: SampleRequest) -> str | None:
        try:
            scale = self.guidance_scale(request)
        except ValueError as error:
            return str(error)
        if self.recipe.guidance == "none" and scale != NO_GUIDANCE:
            return f"guidance_scale {scale:g}; this checkpoint is sampled without guidance, leave it out"
        return None

    def _wrong_size(self, request: SampleRequest) -> str | None:
        height, width = self.size(request)
        multiple = lcm(self.family.size_multiple, self.pipe.vae_scale_factor, self._patches())
        if min(height, width) < 1 or height % multiple or width % multiple:
            return f"{height} x {width} pixels; height and width must be positive multiples of {multiple}"
        return None

    def _patches(self) -> int:
        """Pixels a side of what the denoiser takes as one: latents come in patches in some transformers."""
        scale = int(self.pipe.vae_scale_factor)
        if self.family.gives_sigmas:
            return 2 * scale
        return scale * int(getattr(self.pipe, "patch_size", None) or 1)


def _sample_size(pipe: Any, family: Family) -> int:
    """Latents a side that the denoiser was trained with."""
    return int(getattr(pipe, "default_sample_size", None) or getattr(pipe, family.denoiser).config.sample_size)


def to_uint8(images: Tensor) -> Tensor:
    """Images (N, 3, H, W) in [0, 1] of any floating dtype -> uint8 on the CPU, rounded once, as stock PIL output is.

    Raises:
        FewstepError: where a pixel is not finite.
    """
    images = images.float()
    if not bool(images.isfinite().all()):
        raise FewstepError(
            "the images are not finite (NaN): the VAE's decoder overflows in half precision; use --dtype float32 "
            "or bfloat16, or a VAE made for half precision"
        )
    return (images * 255).round().to(torch.uint8).cpu()
