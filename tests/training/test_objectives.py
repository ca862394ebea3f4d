"""LCM by meaning: gradients reach what learns and nothing else, and targets equal their closed forms."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.suites.shapes.generator.networks import POOLED_WIDTH, TEXT_WIDTHS
from methods.diffusion.ddim import ddim_step
from methods.diffusion.schedule import Schedule
from methods.distill.denoiser import Condition, Denoiser
from methods.distill.draws import Draws
from methods.distill.loop import step_generator
from methods.lcm.objective import LcmObjective, LcmRecipe

CONFIG: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "rescale_betas_zero_snr": True,
}
SCHEDULE = Schedule.from_scheduler_config(CONFIG)


class GaussianUNet(nn.Module):
    """The exact v-prediction for data that are N(mean, 1) in every coordinate, where mean is a parameter."""

    def __init__(self, mean: float, **config: Any) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.tensor(mean))
        self.config = type("Config", (), {"time_cond_proj_dim": 8, **config})()

    def forward(self, x_t: Tensor, timesteps: Tensor, **_: Any) -> Any:
        """x0 is mean + alpha (x_t - alpha mean), and v = (alpha x_t - x0) / sigma = -mean sigma ... exactly."""
        alpha, sigma = SCHEDULE.at(timesteps, x_t)
        x0 = self.mean + alpha * (x_t - alpha * self.mean)
        eps = sigma * (x_t - alpha * self.mean)
        return type("Output", (), {"sample": alpha * eps - sigma * x0})()


def denoiser(unet: Any) -> Denoiser:
    return Denoiser(unet, SCHEDULE, "v_prediction")


def condition(n: int) -> Condition:
    rng = torch.Generator().manual_seed(5)
    embeds, pooled = torch.randn(n, 4, sum(TEXT_WIDTHS), generator=rng), torch.randn(n, POOLED_WIDTH, generator=rng)
    return Condition(embeds, pooled, torch.zeros(n, 6))


def draws(step: int) -> Draws:
    return Draws(step_generator(0, step))


def latent_batch(n: int = 8) -> dict[str, Any]:
    rng = torch.Generator().manual_seed(4)
    return {
        "latents": torch.randn(n, 8, 8, 8, generator=rng),
        "pixels": torch.rand(n, 3, 32, 32, generator=rng) * 2 - 1,
        "condition": condition(n),
    }


def lcm(mean: float = 0.7, **recipe: Any) -> LcmObjective:
    student, teacher = GaussianUNet(mean), GaussianUNet(mean).requires_grad_(False)
    return LcmObjective(denoiser(student), denoiser(teacher), LcmRecipe(**recipe))


def test_lcm_target_is_one_guided_ddim_step_of_the_teacher() -> None:
    objective = lcm()
    start = torch.tensor([999, 499, 19])
    x = torch.randn(3, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    end, x_end = objective.solver_step(x, start, condition(3), torch.ones(3))
    assert end.tolist() == [979, 479, 0]
    x0, eps = objective.teacher.split(objective.teacher.output(x, start, condition(3)), x, start)
    assert torch.allclose(x_end, ddim_step(SCHEDULE, x0, eps, end), atol=1e-6)


def test_lcm_loss_reaches_the_student_only() -> None:
    objective = lcm()
    losses = objective.losses("student", latent_batch(), draws(0))
    torch.stack(list(losses.values())).sum().backward()
    assert objective.student.unet.mean.grad is not None
    assert objective.target.unet.mean.grad is None
    assert objective.teacher.unet.mean.grad is None


def test_lcm_target_follows_the_student() -> None:
    objective = lcm(ema_decay=0.5)
    with torch.no_grad():
        objective.student.unet.mean.fill_(1.7)
    objective.after_step(0)
    assert float(objective.target.unet.mean) == pytest.approx(1.2)
