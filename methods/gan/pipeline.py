"""A diffusers pipeline around the generator: prompts in, images out, one evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import AutoencoderKL, DiffusionPipeline, ImagePipelineOutput
from diffusers.image_processor import VaeImageProcessor
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from methods.gan.generator import StyleGenerator, caption_vector


class GanPipeline(DiffusionPipeline):  # type: ignore[misc]
    """`GanPipeline.from_pretrained(folder)`; the parts beside the generator are an SDXL's."""

    model_cpu_offload_seq = "text_encoder->text_encoder_2->style_generator->vae"

    def __init__(
        self,
        vae: AutoencoderKL,
        text_encoder: CLIPTextModel,
        text_encoder_2: CLIPTextModelWithProjection,
        tokenizer: CLIPTokenizer,
        tokenizer_2: CLIPTokenizer,
        style_generator: StyleGenerator,
    ) -> None:
        super().__init__()
        self.register_modules(
            vae=vae,
            text_encoder=text_encoder,
            text_encoder_2=text_encoder_2,
            tokenizer=tokenizer,
            tokenizer_2=tokenizer_2,
            style_generator=style_generator,
        )
        self.vae_scale_factor = 2 ** (len(self.vae.config.block_out_channels) - 1)
        self.image_processor = VaeImageProcessor(vae_scale_factor=self.vae_scale_factor)

    @property
    def default_sample_size(self) -> int:
        """Side of the latents."""
        return int(self.style_generator.config.sample_size)

    @torch.no_grad()
    def encode_prompt(self, prompts: Sequence[str]) -> Tensor:
        """What the generator is told of each prompt, (N, text_width), from the embeddings that SDXL has."""
        hidden: list[Tensor] = []
        pooled: Tensor | None = None
        pairs = ((self.tokenizer, self.text_encoder), (self.tokenizer_2, self.text_encoder_2))
        for tokenizer, encoder in pairs:
            ids = tokenizer(list(prompts), padding="max_length", truncation=True, return_tensors="pt").input_ids
            output = encoder(ids.to(encoder.device), output_hidden_states=True)
            hidden.append(output.hidden_states[-2])
            pooled = output[0]
        if pooled is None:
            raise RuntimeError("the pipeline has two text encoders")
        return caption_vector(torch.cat(hidden, dim=-1), pooled)

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str],
        generator: torch.Generator | list[torch.Generator] | None = None,
        truncation_psi: float = 1.0,
        output_type: str = "pil",
    ) -> Any:
        """Images of the prompts.

        Args:
            prompt: One, or one an image.
            generator: Random numbers: one for all images, or one an image.
            truncation_psi: 1 is the generator as trained; smaller is less varied, and 0 gives each prompt one image.
            output_type: "pil", "np", "pt" in 0..1, or "latent".
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        text = self.encode_prompt(prompts)
        shape = (len(prompts), self.style_generator.config.z_width)
        z = randn_tensor(shape, generator=generator, device=text.device, dtype=text.dtype)
        latents = self.style_generator(z, text, truncation_psi=truncation_psi)
        if output_type == "latent":
            return ImagePipelineOutput(images=latents)
        pixels = self.vae.decode(latents / self.vae.config.scaling_factor).sample
        return ImagePipelineOutput(images=self.image_processor.postprocess(pixels, output_type=output_type))
