"""Latent consistency models: one network evaluation a step, the guidance scale an input of the network or fixed.

Luo et al., "Latent Consistency Models: Synthesizing High-Resolution Images with Few-Step Inference", arXiv 2310.04378,
and "LCM-LoRA: A Universal Stable-Diffusion Acceleration Module", arXiv 2311.05556.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import torch

from methods.interface import MethodInfo, Recipe
from methods.sampling import PipelineMethod
from methods.weights import check_lora


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


class LCMLoRA(PipelineMethod):
    """The base pipeline with a LoRA beside its parts, which is added to the weights: a step costs what the base's does.

    Guidance is in the LoRA, at the one scale that it was distilled with.
    """

    info = MethodInfo(
        name="lcm-lora",
        title="LCM-LoRA",
        paper="LCM-LoRA: A Universal Stable-Diffusion Acceleration Module",
        arxiv="2311.05556",
        licence="CreativeML Open RAIL++-M (released weights)",
        steps=(4, 8, 2, 1),
    )
    default_recipe = Recipe(
        scheduler="LCMScheduler",
        scheduler_config={"original_inference_steps": 50, "clip_sample": False},
        guidance="none",
        allowed_steps=(1, 8),
    )

    @classmethod
    def load(cls, weights: Path, *, device: torch.device, dtype: torch.dtype) -> Self:
        check_lora(weights)
        return super().load(weights, device=device, dtype=dtype)
