"""Guidance distillation: one network for every guidance scale, at one evaluation a step instead of two.

Meng et al., "On Distillation of Guided Diffusion Models", arXiv 2210.03142, the first of its two stages. The second,
which halves the steps, is `methods.progressive`.
"""

from __future__ import annotations

from methods.interface import MethodInfo, Recipe
from methods.sampling import PipelineMethod


class GuidanceDistillation(PipelineMethod):
    """Deterministic DDIM steps on trailing timesteps; the stock pipeline embeds `guidance_scale - 1`."""

    info = MethodInfo(
        name="gd",
        title="Guidance distillation",
        paper="On Distillation of Guided Diffusion Models",
        arxiv="2210.03142",
        licence="Apache-2.0",
        steps=(25, 8, 4),
    )
    default_recipe = Recipe(
        scheduler="DDIMScheduler",
        scheduler_config={"timestep_spacing": "trailing", "clip_sample": False, "set_alpha_to_one": True},
        guidance="embedded",
        guidance_scale=5.0,
        allowed_steps=(4, 25),
    )
