"""Undistilled models, each with the samplers that few-step methods are compared with.

Model cards: stabilityai/stable-diffusion-xl-base-1.0, stable-diffusion-v1-5/stable-diffusion-v1-5,
stabilityai/stable-diffusion-2-1. No card prescribes a sampler's spacing for a step count; it stays the checkpoint's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from methods.checkpoints.shared import (
    ANY_GUIDANCE,
    MB,
    MIRROR,
    OPENRAIL_M,
    OPENRAIL_PP,
    SD15_BASE,
    SD21_BASE,
    SDXL_BASE,
)
from methods.checkpoints.table import Checkpoint
from methods.interface import Recipe


@dataclass(frozen=True)
class Sampler:
    """A solver of the diffusion ODE: diffusers' class and the settings that make it the paper's."""

    suffix: str
    title: str
    scheduler: str
    config: Mapping[str, object]
    paper: str
    arxiv: str


SAMPLERS = (
    Sampler(
        "euler", "Euler", "EulerDiscreteScheduler", {},
        "Elucidating the Design Space of Diffusion-Based Generative Models", "2206.00364",
    ),
    Sampler(
        "ddim", "DDIM", "DDIMScheduler", {"clip_sample": False, "set_alpha_to_one": True},
        "Denoising Diffusion Implicit Models", "2010.02502",
    ),
    Sampler(
        "dpm", "DPM-Solver", "DPMSolverMultistepScheduler",
        {"algorithm_type": "dpmsolver", "solver_order": 2, "final_sigmas_type": "sigma_min"},
        "DPM-Solver: A Fast ODE Solver for Diffusion Probabilistic Model Sampling in Around 10 Steps", "2206.00927",
    ),
    Sampler(
        "dpmpp", "DPM-Solver++", "DPMSolverMultistepScheduler",
        {"algorithm_type": "dpmsolver++", "solver_order": 2, "final_sigmas_type": "zero"},
        "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models", "2211.01095",
    ),
    Sampler(
        "unipc", "UniPC", "UniPCMultistepScheduler",
        {"solver_order": 2, "solver_type": "bh2", "final_sigmas_type": "zero"},
        "UniPC: A Unified Predictor-Corrector Framework for Fast Sampling of Diffusion Models", "2302.04867",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Base:
    """One undistilled model and how its card samples it."""

    name: str
    family: str
    title: str
    repo: str
    paper: str
    arxiv: str
    licence: str
    recipe: Recipe
    steps: tuple[int, ...]
    size_bytes: int | None
    variant: str | None
    source: str
    note: str = ""
    unverified: tuple[str, ...] = ()
    revision: str | None = None


BASES = (
    Base(
        "sdxl", "sdxl", "SDXL", SDXL_BASE,
        "SDXL: Improving Latent Diffusion Models for High-Resolution Image Synthesis", "2307.01952", OPENRAIL_PP,
        Recipe(
            "EulerDiscreteScheduler", {"prediction_type": "epsilon"}, "classifier-free", 5.0, height=1024, width=1024,
            guidance_range=ANY_GUIDANCE, vae_dtype="float32",
        ),
        (50, 25), 6_940 * MB, "fp16",
        "model card; defaults of diffusers' StableDiffusionXLPipeline; file list at e13090c",
        revision="e13090c13ae930dcf52991bec9e88547f0470ff9",
    ),
    Base(
        "sd15", "sd15", "SD 1.5", SD15_BASE,
        "High-Resolution Image Synthesis with Latent Diffusion Models", "2112.10752", OPENRAIL_M,
        Recipe(
            "PNDMScheduler", {"prediction_type": "epsilon"}, "classifier-free", 7.5, height=512, width=512,
            guidance_range=ANY_GUIDANCE,
        ),
        (50, 25), None, "fp16", "model card; defaults of diffusers' StableDiffusionPipeline",
        "The repository of runwayml, which the card of others still names, was withdrawn; this is its mirror.",
    ),
    Base(
        "sd21", "sd21", "SD 2.1", SD21_BASE,
        "High-Resolution Image Synthesis with Latent Diffusion Models", "2112.10752", OPENRAIL_PP,
        Recipe(
            "DPMSolverMultistepScheduler", {"prediction_type": "v_prediction"}, "classifier-free", 7.5, height=768,
            width=768, guidance_range=ANY_GUIDANCE,
        ),
        (50, 25), None, "fp16", "model card of stabilityai/stable-diffusion-2-1, stored before it was withdrawn",
        unverified=(MIRROR, "repo"),
    ),
)  # fmt: skip


def _rows(base: Base) -> tuple[Checkpoint, ...]:
    own = _row(base, base.name, base.title, base.recipe, base.paper, base.arxiv)
    solvers = tuple(
        _row(
            base,
            f"{base.name}-{sampler.suffix}",
            f"{base.title}, {sampler.title}",
            _recipe(base.recipe, sampler),
            sampler.paper,
            sampler.arxiv,
        )
        for sampler in SAMPLERS
    )
    return (own, *solvers)


def _recipe(recipe: Recipe, sampler: Sampler) -> Recipe:
    return Recipe(
        scheduler=sampler.scheduler,
        scheduler_config={**recipe.scheduler_config, **sampler.config},
        guidance=recipe.guidance,
        guidance_scale=recipe.guidance_scale,
        height=recipe.height,
        width=recipe.width,
        guidance_range=recipe.guidance_range,
        vae_dtype=recipe.vae_dtype,
    )


def _row(base: Base, method: str, title: str, recipe: Recipe, paper: str, arxiv: str) -> Checkpoint:
    return Checkpoint(
        method=method,
        family=base.family,
        kind="pipeline",
        repo=base.repo,
        revision=base.revision,
        variant=base.variant,
        recipe=recipe,
        steps=base.steps,
        title=title,
        paper=paper,
        arxiv=arxiv,
        licence=base.licence,
        size_bytes=base.size_bytes,
        source=base.source,
        note=base.note,
        unverified=base.unverified,
    )


ROWS = tuple(row for base in BASES for row in _rows(base))
