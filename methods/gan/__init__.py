"""A GAN: one evaluation from random weights, no teacher; its truncation trades variety for fidelity.

Sauer et al., "StyleGAN-T: Unlocking the Power of GANs for Fast Large-Scale Text-to-Image Synthesis", arXiv 2301.09515.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from methods.checkpoints.families import FAMILIES
from methods.diffusion.noise import generators
from methods.errors import WeightsError
from methods.gan.pipeline import GanPipeline
from methods.interface import MethodInfo, Recipe, SampleRequest
from methods.pipelines import load_pipeline, read_recipe
from methods.sampling import PipelineMethod

PSI = "truncation_psi"
FAMILY = replace(FAMILIES["gan"], size=32)
"""The embedded suite's."""


class StyleGAN(PipelineMethod):
    """A recipe without a scheduler: its `scheduler` is "none", and its `scheduler_config` may hold `truncation_psi`."""

    info = MethodInfo(
        name="gan",
        title="StyleGAN-T",
        paper="StyleGAN-T: Unlocking the Power of GANs for Fast Large-Scale Text-to-Image Synthesis",
        arxiv="2301.09515",
        licence="none (no weights released)",
        steps=(1,),
    )
    family = FAMILY
    default_recipe = Recipe(scheduler="none", guidance="none", allowed_steps=(1, 1))

    def __init__(self, pipe: Any, recipe: Recipe) -> None:
        """Take a loaded `GanPipeline`.

        Raises:
            WeightsError: for a recipe that is another method's.
        """
        if recipe.scheduler != "none" or recipe.guidance != "none" or set(recipe.scheduler_config) - {PSI}:
            raise WeightsError(
                f"recipe.json has what a GAN does not; it takes scheduler 'none' and {PSI} in scheduler_config alone"
            )
        psi = recipe.scheduler_config.get(PSI, 1.0)
        if isinstance(psi, bool) or not isinstance(psi, int | float) or not (math.isfinite(psi) and psi >= 0):
            raise WeightsError(f"scheduler_config: {PSI} must be a number of 0 or more, got {psi!r}")
        self.pipe, self.recipe, self.truncation_psi = pipe, recipe, float(psi)
        self._spacing_reasons = {}

    @classmethod
    def load(cls, weights: Path, *, device: torch.device, dtype: torch.dtype) -> Self:
        pipe = load_pipeline(weights, device=device, dtype=dtype, family=FAMILY, kind=GanPipeline)
        try:
            return cls(pipe, read_recipe(weights) or cls.default_recipe)
        except WeightsError as error:
            raise error if str(weights) in str(error) else WeightsError(f"{weights}: {error}") from error

    def truncated(self, psi: float) -> Self:
        """The same networks at another truncation: 1 is none, 0 one image a prompt."""
        return type(self)(self.pipe, replace(self.recipe, scheduler_config={PSI: psi}))

    @property
    def components(self) -> Mapping[str, nn.Module]:
        return {
            "text_encoder": self.pipe.text_encoder,
            "text_encoder_2": self.pipe.text_encoder_2,
            "denoiser": self.pipe.style_generator,
            "decoder": self.pipe.vae.decoder,
        }

    def pipeline_arguments(self, request: SampleRequest) -> dict[str, Any]:
        return {
            "prompt": list(request.prompts),
            "generator": generators(request.seeds),
            PSI: self.truncation_psi,
        }

    def _wrong_spacing(self, steps: int) -> str | None:
        return None

    def _wrong_size(self, request: SampleRequest) -> str | None:
        own = self.pipe.default_sample_size * self.pipe.vae_scale_factor
        height, width = self.size(request)
        if (height, width) != (own, own):
            return f"{height} x {width} pixels; this generator makes {own} x {own} alone"
        return None
