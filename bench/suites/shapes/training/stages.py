"""From nothing to the teacher, in stages that each resume: tokenizer and autoencoder, latents, teacher."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from diffusers import AutoencoderKL, StableDiffusionXLPipeline
from torch import Tensor, nn
from transformers import CLIPTokenizer

from bench.judging import image_seed
from bench.suites.shapes.captions import captions
from bench.suites.shapes.generator.networks import MAX_TOKENS, make_text_encoders, make_unet, make_vae
from bench.suites.shapes.generator.tokenizer import load_tokenizer, write_tokenizer
from bench.suites.shapes.render import render
from bench.suites.shapes.scenes import WORLD, make_scenes
from bench.suites.shapes.training.data import TRAIN_IMAGES, LatentBatches, fresh_images, write_latents
from bench.suites.shapes.training.teacher import Teacher, TeacherObjective
from bench.suites.shapes.training.vae import AutoencoderObjective, psnr_db, to_unit_range, whiten
from bench.suites.shapes.zoo import SCHEDULER_CONFIG, stock_pipeline
from bench.training.workshop import WEIGHTS, Workshop
from methods.diffusion.noise import generators
from methods.diffusion.schedule import Schedule
from methods.distill.loop import TrainConfig
from methods.distill.parallel import current_share, wait_for_all
from methods.sampling import to_uint8
from methods.weights import sha256

VAE = TrainConfig(
    steps=1700, batch_size=64, learning_rate=2e-3, weight_decay=0.0, ema_decay=0.995, seed=21, checkpoint_every=250
)
TEACHER = TrainConfig(
    steps=7800,
    batch_size=128,
    learning_rate=5e-3,
    optimizer="muon",
    decay_fraction=0.9,
    ema_decay=0.998,
    seed=22,
    warmup_steps=50,
    checkpoint_every=100,
)
GRID_GUIDANCE = 2.5
_SAMPLES = 48
_WHITENING_IMAGES = 2048


def tokenizer(shop: Workshop) -> CLIPTokenizer:
    """The generator's tokenizer; both text encoders use the same words."""
    folder = shop.folder / "tokenizer"
    if not folder.exists():
        partial = Path(tempfile.mkdtemp(prefix="tokenizer-", dir=shop.folder))
        write_tokenizer(partial, MAX_TOKENS)
        try:
            partial.rename(folder)
        except OSError:  # another process was faster
            shutil.rmtree(partial)
    return load_tokenizer(folder, MAX_TOKENS)


def train_vae(shop: Workshop) -> None:
    """The autoencoder, its latents whitened at the end."""
    torch.manual_seed(VAE.seed)
    vae = make_vae().to(memory_format=torch.channels_last)
    images = render(make_scenes("validation", range(512)))

    def measure(networks: Mapping[str, nn.Module]) -> dict[str, float]:
        return {"psnr_db": float(psnr_db(decode(networks["vae"], encode(networks["vae"], images)), images).mean())}

    def grid(networks: Mapping[str, nn.Module]) -> Tensor:
        return torch.cat([images[:24], decode(networks["vae"], encode(networks["vae"], images[:24]))])

    batches = fresh_images("train", VAE.batch_size)
    averages, made = shop.run(
        "vae", AutoencoderObjective(vae), batches, VAE,
        data=f"train images 0..{VAE.steps * VAE.batch_size - 1}", measure=measure, grid=grid,
    )  # fmt: skip
    vae = cast(AutoencoderKL, averages["vae"])
    whiten(vae, encode(vae, render(make_scenes("train", range(_WHITENING_IMAGES)))))
    shop.finish("vae", vae.state_dict(), made)


def load_vae(shop: Workshop) -> AutoencoderKL:
    """The trained autoencoder in eval mode, without the scaling factor of its latents."""
    vae = make_vae()
    vae.load_state_dict(shop.weights("vae"))
    return vae.eval().requires_grad_(False)


def latents(shop: Workshop, batch_size: int, seed: int) -> LatentBatches:
    """The latents of the train split under the autoencoder that is there, encoded on first use and cached."""
    path = shop.folder / f"latents-world{WORLD}-{sha256(shop.stage('vae') / WEIGHTS)[:12]}.safetensors"
    if not path.exists() and current_share().rank == 0:
        for done in write_latents(path, load_vae(shop), tokenizer(shop)):
            if done % 16384 == 0:
                shop.console.print(f"latents {done:,} of {TRAIN_IMAGES:,}")
    wait_for_all()
    return LatentBatches(path, batch_size, seed)


def train_teacher(shop: Workshop) -> None:
    """The teacher UNet and the two text encoders."""
    torch.manual_seed(TEACHER.seed)
    words = tokenizer(shop)
    teacher = Teacher(*make_text_encoders(len(words), words.bos_token_id, words.eos_token_id), make_unet())
    batches = latents(shop, TEACHER.batch_size, TEACHER.seed)
    vae = load_vae(shop)
    vae.register_to_config(scaling_factor=batches.scaling_factor)
    prompts = captions(make_scenes("validation", range(_SAMPLES)))

    def grid(networks: Mapping[str, nn.Module]) -> Tensor:
        return sample(
            stock_pipeline(vae, words, *_parts(networks["teacher"])), prompts, steps=25, guidance_scale=GRID_GUIDANCE
        )

    averages, made = shop.run(
        "teacher", TeacherObjective(teacher, Schedule.from_scheduler_config(SCHEDULER_CONFIG)), batches, TEACHER,
        data=f"train images 0..{TRAIN_IMAGES - 1}, {TEACHER.steps * TEACHER.batch_size:,} seen", grid=grid,
    )  # fmt: skip
    shop.finish("teacher", averages["teacher"].state_dict(), {**made, "scaling_factor": batches.scaling_factor})


def _parts(teacher: nn.Module) -> tuple[tuple[nn.Module, nn.Module], nn.Module]:
    """The text encoders and the UNet of a teacher, as a pipeline takes them."""
    network = cast(Teacher, teacher)
    return (network.text_encoder, network.text_encoder_2), network.unet


@torch.no_grad()
def sample(
    pipe: StableDiffusionXLPipeline, prompts: list[str], *, steps: int, guidance_scale: float, seed: int = 0
) -> Tensor:
    """uint8 (N, 3, H, W): one image a prompt, noise by (seed, position)."""
    seeds = [image_seed(seed, position) for position in range(len(prompts))]
    images: Tensor = pipe(
        prompts, generator=generators(seeds), num_inference_steps=steps, guidance_scale=guidance_scale, output_type="pt"
    ).images
    return to_uint8(images)


@torch.no_grad()
def encode(vae: AutoencoderKL, images: Tensor) -> Tensor:
    """Posterior means, float32 (N, 8, 8, 8), unscaled."""
    mean: Tensor = vae.encode(to_unit_range(images)).latent_dist.mean
    return mean


@torch.no_grad()
def decode(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """Unscaled latents -> uint8 (N, 3, 32, 32)."""
    pixels: Tensor = vae.decode(latents).sample
    return ((pixels + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
