"""CFG-aware step distillation: eight steps that are still guided, with the guidance inside the loss.

Li et al., "SnapFusion: Text-to-Image Diffusion Model on Mobile Devices within Two Seconds", arXiv 2306.00980.
"""

from __future__ import annotations

from methods.interface import MethodInfo, Recipe
from methods.sampling import PipelineMethod


class CFGAware(PipelineMethod):
    """Deterministic DDIM steps on trailing timesteps, under classifier-free guidance: two evaluations a step."""

    info = MethodInfo(
        name="cfg-aware",
        title="CFG-aware distillation",
        paper="SnapFusion: Text-to-Image Diffusion Model on Mobile Devices within Two Seconds",
        arxiv="2306.00980",
        licence="none (no weights released)",
        steps=(8,),
    )
    default_recipe = Recipe(
        scheduler="DDIMScheduler",
        scheduler_config={"timestep_spacing": "trailing", "clip_sample": False, "set_alpha_to_one": True},
        guidance="classifier-free",
        guidance_scale=5.0,
        allowed_steps=(8, 8),
    )
