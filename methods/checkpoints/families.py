"""Families of networks: which stock diffusers pipeline samples them, and what it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Denoiser = Literal["unet", "transformer", "style_generator"]


@dataclass(frozen=True)
class Family:
    """One architecture.

    Attributes:
        pipeline: Class name of the stock diffusers pipeline that samples it.
        accepts: What `_class_name` may be in a checkpoint's model_index.json; the authors of some released their own
            pipeline class around the same networks, which is never loaded.
        denoiser: The component that is called once a step.
        text_encoders: Components that the harness hooks.
        size: Pixels a side at which the base model was trained.
        embeds_guidance: The denoiser's own config says whether it takes a guidance scale, under this name.
        size_multiple: Height and width are multiples of it.
        gives_sigmas: The pipeline gives its scheduler noise levels, even from 1 down to 1 / steps, for it to shift.
        libraries: What its components may come from.
        fixed_arguments: What the pipeline's call is always given, so that it does what was asked for and no more.
    """

    name: str
    title: str
    pipeline: str
    accepts: tuple[str, ...]
    denoiser: Denoiser
    text_encoders: tuple[str, ...]
    size: int
    embeds_guidance: str | None = None
    size_multiple: int = 8
    gives_sigmas: bool = False
    libraries: tuple[str, ...] = ("diffusers", "transformers")
    fixed_arguments: Mapping[str, object] = field(default_factory=dict)

    @property
    def networks(self) -> tuple[str, ...]:
        """The components that have weights."""
        return (self.denoiser, "vae", *self.text_encoders)


_SD = ("StableDiffusionPipeline", "LatentConsistencyModelPipeline", "RectifiedFlowPipeline")

FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family(
            "sdxl", "Stable Diffusion XL", "StableDiffusionXLPipeline", ("StableDiffusionXLPipeline",), "unet",
            ("text_encoder", "text_encoder_2"), 1024, "time_cond_proj_dim",
        ),
        Family(
            "sd15", "Stable Diffusion 1.5", "StableDiffusionPipeline", _SD, "unet", ("text_encoder",), 512,
            "time_cond_proj_dim",
        ),
        Family(
            "sd21", "Stable Diffusion 2.1", "StableDiffusionPipeline", _SD, "unet", ("text_encoder",), 768,
            "time_cond_proj_dim",
        ),
        Family(
            "sd35", "Stable Diffusion 3.5 Large", "StableDiffusion3Pipeline", ("StableDiffusion3Pipeline",),
            "transformer", ("text_encoder", "text_encoder_2", "text_encoder_3"), 1024,
        ),
        Family(
            "flux", "FLUX.1", "FluxPipeline", ("FluxPipeline",), "transformer", ("text_encoder", "text_encoder_2"),
            1024, "guidance_embeds", gives_sigmas=True,
        ),
        Family(
            "sana", "SANA", "SanaSprintPipeline", ("SanaSprintPipeline",), "transformer", ("text_encoder",), 1024,
            "guidance_embeds", size_multiple=32, fixed_arguments={"use_resolution_binning": False},
        ),
        Family(
            "flux2", "FLUX.2", "Flux2KleinPipeline", ("Flux2KleinPipeline",), "transformer", ("text_encoder",), 1024,
            gives_sigmas=True,
        ),
        Family("zimage", "Z-Image", "ZImagePipeline", ("ZImagePipeline",), "transformer", ("text_encoder",), 1024),
        Family(
            "qwen", "Qwen-Image", "QwenImagePipeline", ("QwenImagePipeline",), "transformer", ("text_encoder",), 1328,
            gives_sigmas=True,
        ),
        Family(
            "gan", "StyleGAN-T", "GanPipeline", ("GanPipeline",), "style_generator", ("text_encoder", "text_encoder_2"),
            512, libraries=("diffusers", "transformers", "methods.gan.generator"),
        ),
    )
}  # fmt: skip
"""The families that `--family` takes. `shapes`, the embedded suite's own, has the architecture of "sdxl"."""
