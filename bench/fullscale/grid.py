"""Sample grids while a full-scale student trains: the first captions, by the stock pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline
from torch import Tensor, nn

from bench.fullscale.encode import Encoded
from bench.fullscale.students import Made
from methods.diffusion.noise import generators
from methods.distill.compute import Compute
from methods.pipelines import make_scheduler
from methods.sampling import to_uint8


def sampler(
    pipe: Any, made: Made, shown: Sequence[Encoded], compute: Compute
) -> Callable[[Mapping[str, nn.Module]], Tensor]:
    """A function that samples uint8 images (N, 3, R, R): all captions of `shown` at each of the student's step counts.

    `pipe` gives the autoencoder, which decodes in float32, and the scheduler's config; its text encoders are not used.
    """
    embeds = torch.stack([each.embeds for each in shown]).to(compute.device)
    pooled = torch.stack([each.pooled for each in shown]).to(compute.device)
    asked = {"prompt_embeds": embeds, "pooled_prompt_embeds": pooled, "guidance_scale": made.recipe.guidance_scale}
    size = {"height": made.recipe.height, "width": made.recipe.width}

    @torch.no_grad()
    def sample(networks: Mapping[str, nn.Module]) -> Tensor:
        with made.as_unet(networks["student"]) as unet:
            return torch.cat([sampled(_stock(pipe, unet, made), steps) for steps in made.grid_steps])

    def sampled(stock: Any, steps: int) -> Tensor:
        noise = generators(range(len(shown)))
        with torch.autocast(compute.device.type, compute.autocast, enabled=compute.autocast is not None):
            latents = stock(**asked, **size, generator=noise, num_inference_steps=steps, output_type="latent").images
        pixels = pipe.vae.decode(latents.float() / pipe.vae.config.scaling_factor).sample
        return to_uint8((pixels / 2 + 0.5).clamp(0, 1))

    return sample


def _stock(pipe: Any, unet: nn.Module, made: Made) -> Any:
    """The stock pipeline around a UNet, without text encoders, with the scheduler of the student's recipe."""
    stock: Any = StableDiffusionXLPipeline(
        vae=pipe.vae, text_encoder=None, text_encoder_2=None, tokenizer=None, tokenizer_2=None,
        unet=unet, scheduler=make_scheduler(pipe.scheduler.config, made.recipe), add_watermarker=False,
    )  # fmt: skip
    stock.set_progress_bar_config(disable=True)
    return stock
