"""Adversarial Diffusion Distillation: one to four steps, no guidance.

Sauer et al., "Adversarial Diffusion Distillation", arXiv 2311.17042.
"""

from __future__ import annotations

from methods.interface import MethodInfo, Recipe
from methods.sampling import PipelineMethod


class ADD(PipelineMethod):
    """Ancestral Euler steps on trailing timesteps, as SDXL-Turbo's own scheduler config names them."""

    info = MethodInfo(
        name="add",
        title="ADD",
        paper="Adversarial Diffusion Distillation",
        arxiv="2311.17042",
        licence="Stability AI Non-Commercial Research Community License (released weights)",
        steps=(4, 2, 1),
    )
    default_recipe = Recipe(
        scheduler="EulerAncestralDiscreteScheduler",
        scheduler_config={"timestep_spacing": "trailing"},
        guidance="none",
        allowed_steps=(1, 4),
    )
