"""A well-separated mixture: one-step regression outputs the mean, ADD outputs the modes.

Twelve Gaussians on a circle, ten standard deviations apart, in two dimensions, with the teacher's score in closed form.
Student and features are small; losses, discriminator and loop are those of every other training. Run with `-s` to see
the mode shares, and LCM's distance beside the two.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from methods.add.objective import AddObjective
from methods.add.recipe import AddRecipe
from methods.diffusion.prediction import velocity
from methods.distill.denoiser import Condition, Denoiser
from methods.distill.draws import Draws
from methods.distill.loop import TrainConfig, train
from methods.distill.objective import Batch, Objective
from methods.lcm.objective import LcmObjective, LcmRecipe
from tests.training.tiny_add import ZERO_SNR, PixelVae, UnetConfig

MODES, RADIUS, SPREAD = 12, 2.0, 0.1
CENTRES = RADIUS * torch.stack(
    [torch.tensor([math.cos(a), math.sin(a)]) for a in torch.arange(MODES) * 2 * math.pi / MODES]
)
BATCH = 192
STEPS = 400
RECIPE = AddRecipe(
    student_timesteps=(999,),  # one step is what is compared
    teacher_guidance=1.0,
    augmentation=(),
    condition_text=False,
    condition_image=False,
    distance_scale=0.1,
    optimizer="adamw",
    discriminator_optimizer="adamw",
    head_norm="none",
    student_rate=4e-3,
    discriminator_rate=4e-3,
    ema_decay=0.95,
)


class MixtureUNet(nn.Module):
    """The exact v-prediction for the mixture; x_t is (N, 2, 1, 1)."""

    config = UnetConfig()

    def forward(self, x_t: Tensor, timesteps: Tensor, **_: Any) -> Any:
        alpha, sigma = ZERO_SNR.at(timesteps, x_t)
        x, a, s = x_t[:, :, 0, 0], alpha[:, :, 0, 0], sigma[:, :, 0, 0]
        variance = a**2 * SPREAD**2 + s**2
        away = x[:, None] - a[:, None] * CENTRES
        chance = torch.softmax(-away.square().sum(dim=2) / (2 * variance), dim=1)[:, :, None]
        x0 = (chance * (CENTRES + (a * SPREAD**2 / variance)[:, None] * away)).sum(dim=1)[:, :, None, None]
        eps = (x_t - alpha * x0) / sigma
        return type("Output", (), {"sample": velocity(x0, eps, alpha, sigma)})()


class Student(nn.Module):
    """x_t plus a small network of it: (N, 2, 1, 1) -> x0 alike, "sample" prediction."""

    config = UnetConfig()

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2))

    def forward(self, x_t: Tensor, timesteps: Tensor, **_: Any) -> Any:
        x = x_t[:, :, 0, 0]
        out = x + self.body(torch.cat([x, timesteps[:, None] / 1000], dim=1))
        return type("Output", (), {"sample": out[:, :, None, None]})()


class PlaneFeatures(nn.Module):
    """Frozen sines and cosines of a point, a frequency a token: (N, 2, 1, 1) -> tokens (N, 16, 8) at two depths."""

    depths = (0, 1)
    width = 16
    waves: Tensor

    def __init__(self) -> None:
        super().__init__()
        directions = torch.randn(2, 8, self.width // 2, 2, generator=torch.Generator().manual_seed(0))
        self.register_buffer("waves", directions * torch.linspace(0.2, 4.0, 8)[:, None, None])

    def forward(self, pixels: Tensor) -> tuple[list[Tensor], Tensor]:
        angles = torch.einsum("klwc,nc->knwl", self.waves, pixels[:, :, 0, 0])
        tokens = torch.cat([angles.sin(), angles.cos()], dim=2)
        return [*tokens], tokens[0, :, :, 0]


class Regression(Objective):
    """One-step regression: the mean squared error of x0 predicted from pure noise."""

    def __init__(self, student: Denoiser) -> None:
        self.student = student

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        return {"student": self.student.unet}

    def losses(self, network: str, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        return {
            "error": (one_step(self.student, draws.normal(BATCH, 2)) - batch["latents"][:, :, 0, 0]).square().mean()
        }


def null(n: int) -> Condition:
    return Condition(torch.zeros(n, 1, 1), torch.zeros(n, 1), torch.zeros(n, 6))


def one_step(student: Denoiser, noise: Tensor) -> Tensor:
    """Samples (N, 2) from pure noise (N, 2)."""
    last = torch.full((len(noise),), 999)
    return student.x0(noise[:, :, None, None], last, null(len(noise)))[:, :, 0, 0]


def data(n: int, seed: int) -> Tensor:
    """(n, 2): every mode alike."""
    rng = torch.Generator().manual_seed(seed)
    return CENTRES[torch.arange(n) % MODES] + SPREAD * torch.randn(n, 2, generator=rng)


def batches(seed: int) -> Any:
    def batch_at(step: int) -> Batch:
        points = data(BATCH, 1000 * seed + step)[:, :, None, None]
        return {"latents": points, "pixels": points, "condition": null(BATCH)}

    return batch_at


def w2(points: Tensor, others: Tensor) -> float:
    """The exact 2-Wasserstein distance of two samples of one size."""
    cost = torch.cdist(points, others).square()
    return float(cost[linear_sum_assignment(cost.numpy())].mean().sqrt())


def trained(kind: str, seed: int) -> Tensor:
    """504 one-step samples of a student, averaged weights, after its training."""
    torch.manual_seed(seed)
    student = Denoiser(Student(), ZERO_SNR, "sample")  # type: ignore[arg-type]
    objective: Objective = Regression(student)
    config: TrainConfig = RECIPE.training(steps=STEPS, batch_size=BATCH, seed=seed)
    teacher = Denoiser(MixtureUNet(), ZERO_SNR, "v_prediction")  # type: ignore[arg-type]
    if kind == "add":
        objective = AddObjective(student, teacher, PixelVae(), PlaneFeatures(), RECIPE)  # type: ignore[arg-type]
    if kind == "lcm":
        objective = LcmObjective(student, teacher, LcmRecipe(w_min=0.0, w_max=0.0))
        config = replace(config, betas=(0.9, 0.99))  # no game
    for log in train(objective, batches(seed), config):
        averages = log.averages
    network: Any = averages["student"]
    with torch.no_grad():
        noise = torch.randn(504, 2, generator=torch.Generator().manual_seed(77))
        return one_step(Denoiser(network, ZERO_SNR, "sample"), noise)


SEEDS = (0, 1, 2)


def test_add_finds_the_modes_that_regression_averages() -> None:
    target = data(504, 10**6)
    regression, adversarial = [], []
    for seed in SEEDS:
        regressed, made, consistent = (trained(kind, seed) for kind in ("regression", "add", "lcm"))
        nearest = torch.cdist(made, CENTRES).min(dim=1)
        shares = torch.bincount(nearest.indices, minlength=MODES) / len(made)
        regression.append(w2(regressed, target))
        adversarial.append(w2(made, target))
        sys.stdout.write(
            f"\nseed {seed}: W2 regression {regression[-1]:.3f}, ADD {adversarial[-1]:.3f}, "
            f"LCM {w2(consistent, target):.3f}; ADD within a mode "
            f"{float((nearest.values < 5 * SPREAD).float().mean()):.2f}, mode shares "
            f"{' '.join(f'{share:.3f}' for share in shares.tolist())}\n"
        )
        assert regression[-1] == pytest.approx(RADIUS, rel=0.1)  # the mean of the mixture is its centre
        assert float(regressed.norm(dim=1).max()) < 0.5 * RADIUS
        assert float(shares.min()) > 0, "a mode is lost"
    assert sum(adversarial) <= sum(regression) / 4
