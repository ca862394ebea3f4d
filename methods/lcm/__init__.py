"""Latent consistency models: one network evaluation a step, the guidance scale an input of the network.

Luo et al., "Latent Consistency Models: Synthesizing High-Resolution Images with Few-Step Inference", arXiv 2310.04378.
"""

from __future__ import annotations

from methods.interface import MethodInfo, Recipe
from methods.sampling import PipelineMethod


class LCM(PipelineMethod):
    """A consistency model sampled by diffusers' `LCMScheduler`; the stock pipeline embeds `guidance_scale - 1`."""

    info = MethodInfo(
        name="lcm",
        title="LCM",
        paper="Latent Consistency Models: Synthesizing High-Resolution Images with Few-Step Inference",
        arxiv="2310.04378",
        licence="CreativeML Open RAIL++-M (released weights)",
        steps=(4, 8, 2, 1),
    )
    default_recipe = Recipe(
        scheduler="LCMScheduler",
        scheduler_config={"original_inference_steps": 50, "clip_sample": False},
        guidance="embedded",
        guidance_scale=8.0,
        allowed_steps=(1, 8),
    )
