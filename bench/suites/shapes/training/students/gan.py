"""Train the GAN: a generator from random weights against ADD's discriminator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from bench.judging import image_seed
from bench.suites.shapes.captions import captions
from bench.suites.shapes.generator.networks import POOLED_WIDTH, make_style_generator
from bench.suites.shapes.scenes import make_scenes
from bench.suites.shapes.training.eyes import load_caption_encoder, load_features, load_guide
from bench.suites.shapes.training.stages import latents, load_vae, tokenizer
from bench.suites.shapes.training.students.common import Conditioned, data_note, load_teacher
from bench.training.workshop import Workshop
from methods.diffusion.noise import generators
from methods.gan.generator import StyleGenerator
from methods.gan.objective import GanObjective
from methods.gan.pipeline import GanPipeline
from methods.gan.recipe import GanRecipe
from methods.sampling import to_uint8

GAN_RECIPE = GanRecipe(features="eye", caption_encoder="eye-clip")
GAN = GAN_RECIPE.training(steps=1700, batch_size=64, seed=50, checkpoint_every=100)
GRID_PSI = (1.0, 0.5)
_SAMPLES = 24


def train_gan(shop: Workshop) -> None:
    """The teacher lends its text encoders and its decoder; its UNet is never asked."""
    config = shop.seeded(GAN)
    torch.manual_seed(config.seed)
    teacher, vae = load_teacher(shop), load_vae(shop)
    guide = load_guide(shop, GAN_RECIPE.caption_encoder) if GAN_RECIPE.clip_weight else None
    encoder = load_caption_encoder(shop, GAN_RECIPE.caption_encoder)
    data = latents(shop, config.batch_size, config.seed)
    batches = Conditioned(data, teacher, with_pixels=True, caption_encoder=encoder)
    vae.register_to_config(scaling_factor=batches.latents.scaling_factor)
    generator = make_style_generator()
    features = load_features(shop, GAN_RECIPE.features)
    width = encoder.width if encoder else POOLED_WIDTH
    objective = GanObjective(generator, generator.config.z_width, vae, features, width, GAN_RECIPE, guide)

    def grid(networks: Mapping[str, nn.Module]) -> Tensor:
        network = cast(StyleGenerator, networks["student"])
        network.measure_mean_style()
        words = tokenizer(shop)
        pipe = GanPipeline(vae, teacher.text_encoder, teacher.text_encoder_2, words, words, network)
        prompts = captions(make_scenes("validation", range(_SAMPLES)))
        return torch.cat([_sample(pipe, prompts, psi) for psi in GRID_PSI])

    averages, made = shop.run("gan", objective, batches, config, data=data_note(config), grid=grid, student=_measured)
    counted = {"images": config.steps * config.batch_size, "teacher_evaluations": 0}
    shop.finish("gan", _measured(averages), {**made, **counted, "recipe": vars(GAN_RECIPE)})


def _measured(networks: Mapping[str, nn.Module]) -> Mapping[str, Tensor]:
    """The generator with the mean that truncation goes to."""
    network = cast(StyleGenerator, networks["student"])
    network.measure_mean_style()
    tensors: Mapping[str, Tensor] = network.state_dict()
    return tensors


def _sample(pipe: GanPipeline, prompts: list[str], psi: float) -> Tensor:
    """uint8 (N, 3, H, W): one image a prompt, z by position."""
    seeds = [image_seed(0, position) for position in range(len(prompts))]
    return to_uint8(pipe(prompts, generator=generators(seeds), truncation_psi=psi, output_type="pt").images)
