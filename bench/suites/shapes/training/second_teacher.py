"""A second teacher of another size, for panel (e) of the paper's first table.

It shares the autoencoder and the text encoders of the first, so that only the size of the denoiser differs: latents and
embeddings stay the same, and a student of either fits either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from bench.suites.shapes.captions import captions
from bench.suites.shapes.generator.networks import make_unet
from bench.suites.shapes.scenes import make_scenes
from bench.suites.shapes.training.stages import GRID_GUIDANCE, TEACHER, latents, load_vae, sample, tokenizer
from bench.suites.shapes.training.students.common import data_note, denoiser, load_teacher
from bench.suites.shapes.training.teacher import Teacher, TeacherObjective
from bench.suites.shapes.zoo import stock_pipeline
from bench.training.workshop import Workshop

SECOND = "teacher-small"
SECOND_WIDTHS = (48, 48)
SECOND_TEACHER = replace(TEACHER, steps=4000, seed=24)
_SAMPLES = 24


def train_second_teacher(shop: Workshop) -> None:
    """The smaller UNet, on the frozen text encoders of the first teacher."""
    torch.manual_seed(SECOND_TEACHER.seed)
    first = load_teacher(shop)
    second = Teacher(first.text_encoder, first.text_encoder_2, make_unet(SECOND_WIDTHS))
    batches = latents(shop, SECOND_TEACHER.batch_size, SECOND_TEACHER.seed)
    vae = load_vae(shop)
    vae.register_to_config(scaling_factor=batches.scaling_factor)
    prompts = captions(make_scenes("validation", range(_SAMPLES)))

    def grid(networks: Mapping[str, nn.Module]) -> Tensor:
        unet = networks["teacher"].get_submodule("unet")
        pipe = stock_pipeline(vae, tokenizer(shop), (first.text_encoder, first.text_encoder_2), unet)
        return sample(pipe, prompts, steps=25, guidance_scale=GRID_GUIDANCE)

    objective = TeacherObjective(second, denoiser(second.unet).schedule)
    averages, made = shop.run(
        SECOND, objective, batches, SECOND_TEACHER, data=data_note(SECOND_TEACHER), grid=grid, measure_every=1000
    )
    shop.finish(SECOND, averages["teacher"].get_submodule("unet").state_dict(), made)
