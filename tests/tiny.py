"""A pipeline folder of the embedded architecture with random weights: small, quick, and nothing to look at."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline
from torch import nn

from bench.suites.shapes.generator import networks
from bench.suites.shapes.generator.tokenizer import write_tokenizer
from methods.distill.lora import Adapter, add_lora, save_lora
from methods.gan.pipeline import GanPipeline

TEACHER_SCHEDULER = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "num_train_timesteps": 1000,
}
GUIDANCE_EMBEDDING_WIDTH = 16


def write_tiny_pipeline(folder: Path, *, time_cond_proj_dim: int | None = None, seed: int = 0) -> Path:
    """Write a random pipeline into `folder`; with `time_cond_proj_dim` it takes an embedded guidance.

    The UNet's prompt and guidance inputs are made strong, so that an image shows what it was asked for.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pipe = _pipeline(folder / "tokenizer", time_cond_proj_dim)
        _strengthen(pipe.unet, ("add_embedding", "time_embedding.cond_proj", "attn2.to_v", "attn2.to_out"))
    pipe.save_pretrained(folder)
    return folder


def write_tiny_lora_pipeline(folder: Path, seed: int = 0) -> Path:
    """Write a random pipeline with a random LoRA into `folder`."""
    write_tiny_pipeline(folder, seed=seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = networks.make_unet()
        add_lora(unet, rank=4)
        save_lora(folder, {name: 0.1 * torch.randn_like(tensor) for name, tensor in Adapter(unet).tensors().items()})
    return folder


def write_tiny_gan(folder: Path, seed: int = 0) -> Path:
    """Write a random `GanPipeline` into `folder`; its generator's styles are made strong."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts = _pipeline(folder / "tokenizer", None).components
        generator = networks.make_style_generator(channels=32)
        _strengthen(generator, ("affine.weight", "exit.weight"))
        generator.measure_mean_style(n=64)
    names = ("vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")
    GanPipeline(**{name: parts[name] for name in names}, style_generator=generator).save_pretrained(folder)
    return folder


def _pipeline(tokenizer_folder: Path, time_cond_proj_dim: int | None) -> StableDiffusionXLPipeline:
    tokenizer = write_tokenizer(tokenizer_folder, networks.MAX_TOKENS)
    text_encoder, text_encoder_2 = networks.make_text_encoders(
        len(tokenizer), tokenizer.bos_token_id, tokenizer.eos_token_id
    )
    return StableDiffusionXLPipeline(
        vae=networks.make_vae(),
        text_encoder=text_encoder,
        text_encoder_2=text_encoder_2,
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=networks.make_unet(time_cond_proj_dim=time_cond_proj_dim),
        scheduler=EulerDiscreteScheduler(**TEACHER_SCHEDULER),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )


def _strengthen(network: nn.Module, parts: tuple[str, ...], factor: float = 4.0) -> None:
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if any(part in name for part in parts):
                parameter.mul_(factor)
