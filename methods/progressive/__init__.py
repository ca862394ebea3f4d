"""Progressive distillation: a checkpoint for each of 4, 2 and 1 steps, sampled by DDIM without guidance.

Salimans and Ho, "Progressive Distillation for Fast Sampling of Diffusion Models", arXiv 2202.00512; from a guided
teacher: Meng et al., "On Distillation of Guided Diffusion Models", arXiv 2210.03142.
"""

from __future__ import annotations

from methods.interface import MethodInfo, Recipe
from methods.sampling import PipelineMethod


class ProgressiveDistillation(PipelineMethod):
    """Deterministic DDIM steps on trailing timesteps; the last one returns x0, as `set_alpha_to_one` says."""

    info = MethodInfo(
        name="pd",
        title="Progressive distillation",
        paper="On Distillation of Guided Diffusion Models",
        arxiv="2210.03142",
        licence="Apache-2.0",
        steps=(4, 2, 1),
        checkpoint_per_step_count=True,
    )
    default_recipe = Recipe(
        scheduler="DDIMScheduler",
        scheduler_config={"timestep_spacing": "trailing", "clip_sample": False, "set_alpha_to_one": True},
        guidance="none",
        allowed_steps=(1, 4),
    )
