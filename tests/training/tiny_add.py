"""What the tests of ADD share: teachers whose score is known in closed form, and networks that are quick."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from bench.suites.shapes.generator.networks import (
    LATENT_CHANNELS,
    LATENT_SIZE,
    POOLED_WIDTH,
    TEXT_WIDTHS,
    make_unet,
    make_vae,
)
from bench.suites.shapes.training.eye import SMALL, make_eye
from methods.add.objective import AddObjective
from methods.add.recipe import AddRecipe
from methods.adversarial.features import FrozenFeatures
from methods.diffusion.prediction import target
from methods.diffusion.schedule import Schedule
from methods.distill.denoiser import Condition, Denoiser
from methods.distill.draws import Draws
from methods.distill.loop import step_generator

CONFIG: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "rescale_betas_zero_snr": True,
}
ZERO_SNR = Schedule.from_scheduler_config(CONFIG)
PLAIN = Schedule.from_scheduler_config({**CONFIG, "rescale_betas_zero_snr": False})


class UnetConfig:
    """The fields of a UNet's configuration that ADD reads."""

    time_cond_proj_dim = None
    addition_time_embed_dim = 8
    projection_class_embeddings_input_dim = 6 * 8 + POOLED_WIDTH


class GaussianUNet(nn.Module):
    """The exact prediction for data that are N(m, 1) in every coordinate, m = mean + the first number of the embeds.

    Under the null condition, which is zeros, m is `mean` alone.
    """

    config = UnetConfig()

    def __init__(self, mean: float, schedule: Schedule = ZERO_SNR, prediction_type: str = "v_prediction") -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.tensor(mean))
        self.schedule, self.prediction_type = schedule, prediction_type

    def forward(self, x_t: Tensor, timesteps: Tensor, *, encoder_hidden_states: Tensor, **_: Any) -> Any:
        alpha, sigma = self.schedule.at(timesteps, x_t)
        m = self.mean + encoder_hidden_states[:, 0, 0].view(-1, 1, 1, 1)
        x0, eps = m + alpha * (x_t - alpha * m), sigma * (x_t - alpha * m)
        return type("Output", (), {"sample": target(self.prediction_type, x0, eps, alpha, sigma)})()


class PixelVae(nn.Module):
    """Decodes a latent to itself."""

    config = type("Config", (), {"scaling_factor": 1.0})()

    def decode(self, latents: Tensor) -> Any:
        return type("Output", (), {"sample": latents})()


def denoiser(unet: Any, schedule: Schedule = ZERO_SNR, prediction_type: str = "v_prediction") -> Denoiser:
    return Denoiser(unet, schedule, prediction_type)


def constant(n: int, value: float) -> Condition:
    """A condition whose embeds are `value` everywhere."""
    embeds = torch.full((n, 4, sum(TEXT_WIDTHS)), value)
    return Condition(embeds, torch.full((n, POOLED_WIDTH), value), torch.zeros(n, 6))


def condition(n: int) -> Condition:
    rng = torch.Generator().manual_seed(5)
    embeds, pooled = torch.randn(n, 4, sum(TEXT_WIDTHS), generator=rng), torch.randn(n, POOLED_WIDTH, generator=rng)
    return Condition(embeds, pooled, torch.zeros(n, 6))


def draws(step: int = 0) -> Draws:
    return Draws(step_generator(0, step))


def latent_batch(n: int = 8) -> dict[str, Any]:
    rng = torch.Generator().manual_seed(4)
    return {
        "latents": torch.randn(n, LATENT_CHANNELS, LATENT_SIZE, LATENT_SIZE, generator=rng),
        "pixels": torch.rand(n, 3, 32, 32, generator=rng) * 2 - 1,
        "condition": condition(n),
    }


def make_add(recipe: AddRecipe | None = None, caption_width: int | None = None) -> AddObjective:
    """The suite's networks with random weights, the student being the teacher's copy."""
    torch.manual_seed(0)
    teacher = make_unet().requires_grad_(False)
    student = copy.deepcopy(teacher).requires_grad_(True)
    vae = make_vae().requires_grad_(False)
    features = FrozenFeatures(make_eye(), SMALL.depths)
    recipe = recipe or AddRecipe()
    return AddObjective(denoiser(student), denoiser(teacher), vae, features, recipe, caption_width=caption_width)


def gaussian_add(recipe: AddRecipe, mean: float = 0.7, negative: Condition | None = None) -> AddObjective:
    """A teacher of N(mean + condition, 1) on latents that are their own pixels."""
    student, teacher = GaussianUNet(mean), GaussianUNet(mean).requires_grad_(False)
    features: Any = FrozenFeatures(make_eye(), SMALL.depths)
    vae: Any = PixelVae()
    return AddObjective(denoiser(student), denoiser(teacher), vae, features, recipe, negative)


def gradient_norm(network: nn.Module) -> float:
    return sum(float(p.grad.norm()) for p in network.parameters() if p.grad is not None)
