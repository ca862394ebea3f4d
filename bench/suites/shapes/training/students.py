"""Distil the students from the teacher: the same cached latents, the same frozen text encoders, one loop."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from diffusers import EulerAncestralDiscreteScheduler, LCMScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from torch import Tensor, nn

from bench.suites.shapes.captions import captions
from bench.suites.shapes.generator.networks import make_text_encoders, make_unet
from bench.suites.shapes.render import render
from bench.suites.shapes.scenes import make_scenes
from bench.suites.shapes.training.data import TRAIN_IMAGES, LatentBatches
from bench.suites.shapes.training.eye import DEPTHS, make_eye
from bench.suites.shapes.training.stages import latents, load_vae, sample, tokenizer
from bench.suites.shapes.training.teacher import Teacher, time_ids
from bench.suites.shapes.training.vae import to_unit_range
from bench.suites.shapes.training.workshop import Workshop
from bench.suites.shapes.zoo import SCHEDULER_CONFIG, stock_pipeline
from methods.add.discriminator import FrozenFeatures
from methods.add.objective import AddObjective, AddRecipe
from methods.diffusion.schedule import Schedule
from methods.distill.denoiser import Condition, Denoiser
from methods.distill.loop import TrainConfig
from methods.distill.objective import Batch
from methods.lcm.objective import LcmObjective, LcmRecipe

LCM = TrainConfig(
    steps=1200,
    batch_size=128,
    learning_rate=2e-3,
    optimizer="muon",
    vector_rate=3e-4,
    ema_decay=0.995,
    seed=31,
    decay_fraction=0.5,
    checkpoint_every=100,
)
LCM_RECIPE = LcmRecipe(w_min=1.0, w_max=6.0)
LCM_GUIDANCE_SCALE = 5.0
LCM_GUIDANCE_EMBEDDING = 64

ADD = TrainConfig(
    steps=800,
    batch_size=64,
    learning_rate=4e-4,
    learning_rates={"discriminator": 1e-3},
    betas=(0.0, 0.99),
    weight_decay=0.0,
    ema_decay=0.99,
    seed=32,
    warmup_steps=50,
    decay_fraction=0.5,
    checkpoint_every=100,
)
ADD_RECIPE = AddRecipe(teacher_guidance=4.0)

_SAMPLES = 24


def load_teacher(shop: Workshop) -> Teacher:
    """The finished teacher, frozen."""
    words = tokenizer(shop)
    teacher = Teacher(*make_text_encoders(len(words), words.bos_token_id, words.eos_token_id), make_unet())
    teacher.load_state_dict(shop.weights("teacher"))
    return teacher.eval().requires_grad_(False)


def train_lcm(shop: Workshop) -> None:
    """Latent consistency distillation with embedded guidance."""
    torch.manual_seed(LCM.seed)
    teacher = load_teacher(shop)
    unet = make_unet(time_cond_proj_dim=LCM_GUIDANCE_EMBEDDING)
    unet.load_state_dict(teacher.unet.state_dict(), strict=False)
    nn.init.zeros_(unet.time_embedding.cond_proj.weight)  # the student starts as the teacher
    objective = LcmObjective(_denoiser(unet), _denoiser(teacher.unet), LCM_RECIPE)
    batches = _Conditioned(latents(shop, LCM.batch_size, LCM.seed), teacher, with_pixels=False)

    def grid(networks: Mapping[str, nn.Module]) -> Tensor:
        pipe = _pipeline(shop, teacher, networks["student"], batches.latents.scaling_factor)
        pipe.scheduler = LCMScheduler.from_config(pipe.scheduler.config, original_inference_steps=50, clip_sample=False)
        return _rows(pipe, (1, 4), LCM_GUIDANCE_SCALE)

    averages, made = shop.run("lcm", objective, batches, LCM, data=_data(LCM), grid=grid, measure_every=200)
    shop.finish("lcm", averages["student"].state_dict(), {**made, "recipe": vars(LCM_RECIPE)})


def train_add(shop: Workshop) -> None:
    """Adversarial diffusion distillation with the eye as the discriminator's features."""
    torch.manual_seed(ADD.seed)
    teacher = load_teacher(shop)
    vae = load_vae(shop)
    batches = _Conditioned(latents(shop, ADD.batch_size, ADD.seed), teacher, with_pixels=True)
    vae.register_to_config(scaling_factor=batches.latents.scaling_factor)
    eye = make_eye()
    eye.load_state_dict(shop.weights("eye"))
    student = copy.deepcopy(teacher.unet).requires_grad_(True)
    features = FrozenFeatures(eye, DEPTHS)
    objective = AddObjective(_denoiser(student), _denoiser(teacher.unet), vae, features, ADD_RECIPE)

    def grid(networks: Mapping[str, nn.Module]) -> Tensor:
        pipe = _pipeline(shop, teacher, networks["student"], batches.latents.scaling_factor)
        pipe.scheduler = EulerAncestralDiscreteScheduler.from_config(pipe.scheduler.config, timestep_spacing="trailing")
        return _rows(pipe, (1, 4), 0.0)

    averages, made = shop.run("add", objective, batches, ADD, data=_data(ADD), grid=grid, measure_every=100)
    shop.finish("add", averages["student"].state_dict(), {**made, "recipe": vars(ADD_RECIPE)})


class _Conditioned:
    """Latent batches with their text encoded by the teacher, and with the real pixels where an objective needs them."""

    def __init__(self, latents: LatentBatches, teacher: Teacher, *, with_pixels: bool) -> None:
        self.latents, self._teacher, self._with_pixels = latents, teacher, with_pixels

    @torch.no_grad()
    def __call__(self, step: int) -> Batch:
        batch = self.latents(step)
        embeds, pooled = self._teacher.encode(batch["tokens"])
        condition = Condition(embeds, pooled, time_ids(len(embeds)))
        made: dict[str, Any] = {"latents": batch["latents"], "condition": condition}
        if self._with_pixels:
            made["pixels"] = to_unit_range(render(make_scenes("train", batch["indices"])))
        return made


def _denoiser(unet: UNet2DConditionModel) -> Denoiser:
    return Denoiser(unet, Schedule.from_scheduler_config(SCHEDULER_CONFIG), str(SCHEDULER_CONFIG["prediction_type"]))


def _pipeline(shop: Workshop, teacher: Teacher, unet: nn.Module, scaling_factor: float) -> StableDiffusionXLPipeline:
    vae = load_vae(shop)
    vae.register_to_config(scaling_factor=scaling_factor)
    return stock_pipeline(vae, tokenizer(shop), (teacher.text_encoder, teacher.text_encoder_2), unet)


def _rows(pipe: StableDiffusionXLPipeline, steps: tuple[int, ...], guidance_scale: float) -> Tensor:
    prompts = captions(make_scenes("validation", range(_SAMPLES)))
    return torch.cat([sample(pipe, prompts, steps=count, guidance_scale=guidance_scale) for count in steps])


def _data(config: TrainConfig) -> str:
    return f"train images 0..{TRAIN_IMAGES - 1}, {config.steps * config.batch_size:,} seen"
