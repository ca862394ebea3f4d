"""What the students share: the frozen teacher, the cached latents with their text, pipelines for sample grids."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel
from torch import Tensor, nn

from bench.suites.shapes.captions import captions
from bench.suites.shapes.generator.networks import make_text_encoders, make_unet
from bench.suites.shapes.render import render
from bench.suites.shapes.scenes import make_scenes
from bench.suites.shapes.training.data import TRAIN_IMAGES, LatentBatches
from bench.suites.shapes.training.eye_clip import CaptionEncoder
from bench.suites.shapes.training.stages import load_vae, sample, tokenizer
from bench.suites.shapes.training.teacher import Teacher
from bench.suites.shapes.training.texts import encoded_texts
from bench.suites.shapes.training.vae import to_unit_range
from bench.suites.shapes.zoo import SCHEDULER_CONFIG, stock_pipeline
from bench.training.workshop import Workshop
from methods.diffusion.schedule import Schedule
from methods.distill.denoiser import Denoiser
from methods.distill.loop import TrainConfig
from methods.distill.objective import Batch
from methods.interface import Recipe
from methods.pipelines import make_scheduler

SHARED = ("text_encoder", "text_encoder_2")
"""Parts of the teacher that all pipelines have alike."""

CURRENCIES = ("seconds", "images", "teacher_evaluations")
"""In which the note of a student counts what it took."""

_SAMPLES = 24


def below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors of one part, without its prefix."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def load_teacher(shop: Workshop) -> Teacher:
    """The finished teacher, frozen."""
    words = tokenizer(shop)
    teacher = Teacher(*make_text_encoders(len(words), words.bos_token_id, words.eos_token_id), make_unet())
    teacher.load_state_dict(shop.weights("teacher"))
    return teacher.eval().requires_grad_(False)


class Conditioned:
    """Latent batches with the teacher's text embeddings, and with what else an objective needs.

    Latents and embeddings are read from files: they were computed once.

    Args:
        latents: Of the train split.
        teacher: Whose text encoders are meant.
        with_pixels: Whether to render the real images too.
        caption_encoder: Takes tokens (N, L) to what batches hold as "caption".
    """

    def __init__(
        self,
        latents: LatentBatches,
        teacher: Teacher,
        *,
        with_pixels: bool,
        caption_encoder: CaptionEncoder | None = None,
    ) -> None:
        self.latents, self._with_pixels, self._caption_encoder = latents, with_pixels, caption_encoder
        self._texts = encoded_texts(latents, teacher)

    def __call__(self, step: int) -> Batch:
        batch = self.latents(step)
        made: dict[str, Any] = {"latents": batch["latents"], "condition": self._texts(batch["indices"])}
        if self._with_pixels:
            made["pixels"] = to_unit_range(render(make_scenes("train", batch["indices"])))
        if self._caption_encoder is not None:
            with torch.no_grad():
                made["caption"] = self._caption_encoder(batch["tokens"])
        return made


def denoiser(unet: UNet2DConditionModel) -> Denoiser:
    """A UNet of the generator with the schedule it was made for."""
    return Denoiser(unet, Schedule.from_scheduler_config(SCHEDULER_CONFIG), str(SCHEDULER_CONFIG["prediction_type"]))


def pipeline(shop: Workshop, teacher: Teacher, unet: nn.Module, scaling_factor: float) -> StableDiffusionXLPipeline:
    """The stock pipeline around a UNet in training."""
    vae = load_vae(shop)
    vae.register_to_config(scaling_factor=scaling_factor)
    return stock_pipeline(vae, tokenizer(shop), (teacher.text_encoder, teacher.text_encoder_2), unet)


def sample_rows(pipe: StableDiffusionXLPipeline, steps: tuple[int, ...], guidance_scale: float) -> Tensor:
    """uint8 images: the first validation captions at each number of steps, one after the other."""
    prompts = captions(make_scenes("validation", range(_SAMPLES)))
    return torch.cat([sample(pipe, prompts, steps=count, guidance_scale=guidance_scale) for count in steps])


def student_grid(
    shop: Workshop,
    teacher: Teacher,
    scaling_factor: float,
    recipe: Recipe,
    steps: tuple[int, ...],
    guidance_scale: float = 0.0,
) -> Callable[[Mapping[str, nn.Module]], Tensor]:
    """What `Workshop.run` takes as its grid: samples of the student by the sampler that `recipe` names."""

    def grid(networks: Mapping[str, nn.Module]) -> Tensor:
        pipe = pipeline(shop, teacher, networks["student"], scaling_factor)
        pipe.scheduler = make_scheduler(pipe.scheduler.config, recipe)
        return sample_rows(pipe, steps, guidance_scale)

    return grid


def data_note(config: TrainConfig) -> str:
    """What a training with `config` reads, in words."""
    return f"train images 0..{TRAIN_IMAGES - 1}, {config.steps * config.batch_size:,} seen"
