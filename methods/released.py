"""A released checkpoint as a method: a row of the table on the stock pipeline of its family."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import torch

from methods.checkpoints.families import FAMILIES, Family
from methods.checkpoints.guard import Settings, guidance_of
from methods.checkpoints.table import Checkpoint
from methods.errors import UsageError
from methods.interface import MethodInfo, Recipe, SampleRequest
from methods.pipelines import call_arguments, read_recipe, takes_guidance, timestep_arguments
from methods.sampling import PipelineMethod
from methods.weights import check_lora

ANY_STEPS = (1, 1000)


class Released(PipelineMethod):
    """The method of one row. `released_method` makes the class; as it stands here it has no weights."""

    row: ClassVar[Checkpoint]
    info = MethodInfo("released", "a released checkpoint", "", None, "", (1,))
    default_recipe = Recipe(scheduler="EulerDiscreteScheduler")

    @classmethod
    def load(cls, weights: Path, *, device: torch.device, dtype: torch.dtype) -> Self:
        """Load the pipeline folder `weights`: the row's own, or its base with the row's denoiser or LoRA put in.

        Raises:
            UsageError: for the class without a row.
            WeightsError: where the folder is missing, damaged, unsafe, or of another architecture.
        """
        row = getattr(cls, "row", None)
        if row is None:
            raise UsageError("name the family of a released checkpoint, as in --family sdxl")
        if row.kind == "lora":
            check_lora(weights)
        return super().load(weights, device=device, dtype=dtype)

    @classmethod
    def recipe_of(cls, weights: Path) -> Recipe:
        """The one that the class was made with: `load_released` has read the folder's, and may have let it loose."""
        return cls.default_recipe

    def _wrong_steps(self, request: SampleRequest) -> str | None:
        reason = super()._wrong_steps(request)
        return reason and f"{reason} (--allow-off-recipe tries it, marked)"


def released_method(row: Checkpoint, recipe: Recipe | None = None) -> type[Released]:
    """The class that samples `row`, by `recipe` where it is not the row's own."""
    info = MethodInfo(row.method, row.title, row.paper, row.arxiv, row.licence, row.steps)
    members = {
        "row": row,
        "info": info,
        "default_recipe": row.recipe if recipe is None else recipe,
        "family": FAMILIES[row.family],
        "__doc__": f"{row.title}, {row.name}.",
        "__module__": __name__,
    }
    return type(f"Released_{row.method}", (Released,), members)


def load_released(
    row: Checkpoint,
    folder: Path,
    *,
    device: torch.device,
    dtype: torch.dtype,
    guidance_scale: float | None = None,
    off_recipe: bool = False,
) -> Released:
    """The method of `row` from a pipeline folder; a `recipe.json` in the folder comes before the row's recipe.

    With `off_recipe` every step count and guidance scale is let through.

    Raises:
        WeightsError: where the folder cannot be used.
    """
    recipe = read_recipe(folder) or row.recipe
    return released_method(row, relaxed(recipe, guidance_scale) if off_recipe else recipe).load(
        folder, device=device, dtype=dtype
    )


def relaxed(recipe: Recipe, guidance_scale: float | None) -> Recipe:
    """`recipe` without its limits: any number of steps, and guidance where a scale was asked for."""
    scale = recipe.guidance_scale if guidance_scale is None else guidance_scale
    guidance = recipe.guidance if recipe.guidance != "none" else guidance_of(recipe, scale)
    return replace(recipe, allowed_steps=ANY_STEPS, guidance=guidance)


def settings_of(method: PipelineMethod, request: SampleRequest) -> Settings:
    """What `method` is about to do for `request`, read off its pipeline.

    Raises:
        ValueError: where its scheduler cannot make the step count.
    """
    height, width = method.size(request)
    recipe, steps = method.recipe, request.num_inference_steps
    return settings_of_pipeline(
        method.pipe,
        method.family,
        recipe,
        steps=steps,
        guidance_scale=method.guidance_scale(request),
        height=height,
        width=width,
    )


def settings_of_pipeline(
    pipe: Any, family: Family, recipe: Recipe, *, steps: int, guidance_scale: float, height: int, width: int
) -> Settings:
    """What a stock pipeline does with the scheduler it has; `recipe` says how it is called.

    Raises:
        ValueError: where its scheduler cannot make the step count.
    """
    denoiser = getattr(pipe, family.denoiser)
    embeds = takes_guidance(pipe, family)
    kind = guidance_of(replace(recipe, guidance="embedded" if embeds else "classifier-free"), guidance_scale)
    return Settings(
        steps=steps,
        scheduler=type(pipe.scheduler).__name__,
        config=dict(pipe.scheduler.config),
        guidance=kind,
        guidance_scale=guidance_scale,
        height=height,
        width=width,
        dtype=_dtype(denoiser),
        vae_dtype=_vae_dtype(pipe),
        timesteps=_timesteps(pipe, recipe, steps, family),
        negative_prompt=recipe.negative_prompt,
        lora_scale=recipe.lora_scale,
        arguments=call_arguments(recipe, steps),
    )


def _timesteps(pipe: Any, recipe: Recipe, steps: int, family: Family) -> tuple[float, ...] | None:
    """What the denoiser will be called with, asked of a copy of the scheduler."""
    scheduler = copy.deepcopy(pipe.scheduler)
    if scheduler.config.get("use_dynamic_shifting"):
        return None  # the pipeline alone knows by how much
    scheduler.set_timesteps(**timestep_arguments(recipe, steps, family))
    found = tuple(float(t) for t in scheduler.timesteps)
    return found[:-1] if type(scheduler).__name__ == "SCMScheduler" else found  # which lists the end, 0, as well


def _dtype(network: Any) -> str:
    return str(next(network.parameters()).dtype).removeprefix("torch.")


def _vae_dtype(pipe: Any) -> str:
    """The dtype to decode in: SDXL's pipeline lifts a decoder that says so out of float16."""
    lifts = type(pipe).__name__.startswith("StableDiffusionXL") and pipe.vae.config.get("force_upcast")
    stored = _dtype(pipe.vae)
    return "float32" if lifts and stored == "float16" else stored
