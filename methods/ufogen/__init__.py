"""UFOGen: a diffusion GAN whose generator and discriminator both start from the pretrained network; one step.

Xu et al., "UFOGen: You Forward Once Large Scale Text-to-Image Generation via Diffusion GANs", arXiv 2311.09257.
"""

from __future__ import annotations

from methods.interface import MethodInfo, Recipe
from methods.sampling import PipelineMethod


class UFOGen(PipelineMethod):
    """x0 from pure noise. Four steps go back under fresh noise in between, by the intervals that training has."""

    info = MethodInfo(
        name="ufogen",
        title="UFOGen",
        paper="UFOGen: You Forward Once Large Scale Text-to-Image Generation via Diffusion GANs",
        arxiv="2311.09257",
        licence="none (no weights released)",
        steps=(1, 4),
    )
    default_recipe = Recipe(
        scheduler="LCMScheduler",
        scheduler_config={"original_inference_steps": 1000, "clip_sample": False},
        guidance="none",
        allowed_steps=(1, 4),
    )
