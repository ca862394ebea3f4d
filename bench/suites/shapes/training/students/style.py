"""A second base: the teacher's UNet, tuned on pictures in another style. LCM-LoRA plugs into it without having seen it.

The style is a gradient map: a picture's luminance picks a colour on a fixed path from violet over coral to cream.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from diffusers import AutoencoderKL, StableDiffusionXLPipeline, UNet2DConditionModel
from torch import Tensor, nn

from bench.suites.shapes.generator.networks import make_unet
from bench.suites.shapes.render import render
from bench.suites.shapes.scenes import make_scenes
from bench.suites.shapes.training.stages import GRID_GUIDANCE, decode, encode, latents, load_vae
from bench.suites.shapes.training.students.common import (
    Conditioned,
    data_note,
    denoiser,
    load_teacher,
    pipeline,
    sample_rows,
)
from bench.suites.shapes.training.students.lcm_lora import plug_in
from bench.suites.shapes.training.teacher import CONDITION_DROPOUT
from bench.suites.shapes.training.vae import psnr_db
from bench.training.workshop import Workshop, save_grid
from methods.diffusion.prediction import velocity
from methods.distill.denoiser import Condition, Denoiser
from methods.distill.draws import Draws
from methods.distill.loop import TrainConfig
from methods.distill.objective import Batch, Objective

STYLE = TrainConfig(
    steps=400,
    batch_size=64,
    learning_rate=2e-3,
    optimizer="muon",
    vector_rate=3e-4,
    ema_decay=0.98,
    seed=34,
    warmup_steps=20,
    checkpoint_every=100,
)
STOPS = torch.tensor([[34.0, 8.0, 74.0], [236.0, 86.0, 92.0], [255.0, 244.0, 214.0]])
"""RGB, 0..255, at luminance 0, 1/2 and 1."""

_LUMINANCE = torch.tensor([0.299, 0.587, 0.114])
_STYLE_STEPS, _FEW_STEPS = 25, 4
_MEASURED_IMAGES = 256


def restyle(images: Tensor) -> Tensor:
    """uint8 (N, 3, H, W) in the style, of the same shapes and brightness order."""
    luminance = torch.einsum("c,nchw->nhw", _LUMINANCE, images.float()) / 255
    return _path(luminance).permute(0, 3, 1, 2).round().clamp(0, 255).to(torch.uint8)


def style_distance(images: Tensor) -> float:
    """How far the pixels of uint8 (N, 3, H, W) are from the style's colours: mean distance in levels of 255."""
    pixels = images.float().permute(0, 2, 3, 1).reshape(-1, 3)
    return float(torch.cdist(pixels, _path(torch.linspace(0, 1, 256))).amin(dim=1).mean())


def _path(position: Tensor) -> Tensor:
    """Positions 0..1 (...) -> colours (..., 3), linear between the stops."""
    at = position.clamp(0, 1) * (len(STOPS) - 1)
    left = at.long().clamp_max(len(STOPS) - 2)
    return torch.lerp(STOPS[left], STOPS[left + 1], (at - left)[..., None])


class Restyled:
    """Batches of `Conditioned` whose latents are those of the restyled pictures."""

    def __init__(self, batches: Conditioned, vae: AutoencoderKL) -> None:
        self.batches, self.vae = batches, vae

    def __call__(self, step: int) -> Batch:
        rows = self.batches.latents.indices(step)
        pictures = restyle(render(make_scenes("train", rows)))
        encoded = encode(self.vae, pictures) * self.batches.latents.scaling_factor
        return {**self.batches(step), "latents": encoded}


class TuningObjective(Objective):
    """v-prediction of a UNet with frozen text encoders. Batches hold "latents", scaled, and "condition"."""

    def __init__(self, student: Denoiser) -> None:
        self.student = student

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        return {"unet": self.student.unet}

    def losses(self, network: str, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        x0, condition = batch["latents"], batch["condition"]
        n, schedule = len(x0), self.student.schedule
        t = (draws.stratified(n) * len(schedule)).long()
        alpha, sigma = schedule.at(t, x0)
        eps = draws.normal(*x0.shape)
        keep = (draws.uniform(n) >= CONDITION_DROPOUT).float()
        kept = Condition(
            condition.embeds * keep.view(-1, 1, 1), condition.pooled * keep.view(-1, 1), condition.time_ids
        )
        v = self.student.output(alpha * x0 + sigma * eps, t, kept)
        return {"v": (v - velocity(x0, eps, alpha, sigma)).square().mean()}


def train_style(shop: Workshop) -> None:
    """Tune the teacher's UNet on restyled pictures."""
    torch.manual_seed(STYLE.seed)
    teacher, vae = load_teacher(shop), load_vae(shop)
    conditioned = Conditioned(latents(shop, STYLE.batch_size, STYLE.seed), teacher, with_pixels=False)
    unet = copy.deepcopy(teacher.unet).requires_grad_(True)

    def grid(networks: Mapping[str, nn.Module]) -> Tensor:
        pipe = pipeline(shop, teacher, networks["unet"], conditioned.latents.scaling_factor)
        return sample_rows(pipe, (_STYLE_STEPS,), GRID_GUIDANCE)

    averages, made = shop.run(
        "style", TuningObjective(denoiser(unet)), Restyled(conditioned, vae), STYLE,
        data=data_note(STYLE), grid=grid, measure_every=200,
    )  # fmt: skip
    counted = {"images": STYLE.steps * STYLE.batch_size, "teacher_evaluations": 0}
    shop.finish("style", averages["unet"].state_dict(), {**made, **counted, **_encoded_style(vae)})


def show_plugged(shop: Workshop) -> None:
    """Sample the style-tuned base with and without the LoRA that was trained on the teacher, and measure the style."""
    teacher = load_teacher(shop)
    style = make_unet()
    style.load_state_dict(shop.weights("style"))
    scaling_factor = latents(shop, STYLE.batch_size, STYLE.seed).scaling_factor
    adapter = shop.weights("lcm-lora")

    def base(unet: UNet2DConditionModel) -> StableDiffusionXLPipeline:
        return pipeline(shop, teacher, copy.deepcopy(unet), scaling_factor)

    rows = {
        "base, 25 steps": sample_rows(base(teacher.unet), (_STYLE_STEPS,), GRID_GUIDANCE),
        "base with LoRA, 4 steps": _plugged(base(teacher.unet), adapter),
        "style, 25 steps": sample_rows(base(style), (_STYLE_STEPS,), GRID_GUIDANCE),
        "style, 4 steps": sample_rows(base(style), (_FEW_STEPS,), GRID_GUIDANCE),
        "style with LoRA, 4 steps": _plugged(base(style), adapter),
    }
    folder = shop.stage("lcm-lora-style")
    folder.mkdir(parents=True, exist_ok=True)
    save_grid(torch.cat(list(rows.values())), folder / "grid.png")
    distances = {name: style_distance(images) for name, images in rows.items()}
    for name, distance in distances.items():
        shop.console.print(f"{name}: {distance:.1f} levels from the style's colours")
    made: dict[str, Any] = {"stage": "lcm-lora-style", "style_distance": distances}
    shop.finish("lcm-lora-style", rows, made)


def _plugged(pipe: StableDiffusionXLPipeline, adapter: Mapping[str, Tensor]) -> Tensor:
    plug_in(pipe, adapter)
    return sample_rows(pipe, (_FEW_STEPS,), 0.0)


def _encoded_style(vae: AutoencoderKL) -> dict[str, float]:
    """What the autoencoder, which never saw the style, makes of it."""
    pictures = restyle(render(make_scenes("validation", range(_MEASURED_IMAGES))))
    decoded = decode(vae, encode(vae, pictures))
    return {"style_psnr_db": float(psnr_db(decoded, pictures).mean()), "style_distance": style_distance(decoded)}
