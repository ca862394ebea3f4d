"""Guidance distillation on Gaussians: the student that is told w is the guided teacher, at half its evaluations."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor, nn

from methods.distill.denoiser import Denoiser
from methods.distill.draws import Draws
from methods.distill.loop import TrainConfig, step_generator, train
from methods.distill.objective import Batch
from methods.guidance_distillation import GuidanceDistillation
from methods.guidance_distillation.objective import GdObjective, GdRecipe
from tests.training.gaussian import (
    CONFIG,
    MEAN,
    NULL_MEAN,
    SCHEDULE,
    SHAPE,
    VARIANCE,
    GaussianUNet,
    Known,
    condition,
    denoiser,
)

OUTWARD = MEAN - NULL_MEAN
"""Both guided predictions have one gain, so the guided teacher is the exact denoiser of a mean that w moves outward."""


class ToldUNet(Known):
    """The exact denoiser of N(mean + w outward, VARIANCE), which reads w off the embedding that it is given.

    The slowest of its angles is w / 10, of which sine and cosine are there.
    """

    def __init__(self, mean: Tensor, outward: Tensor, width: int = 16) -> None:
        super().__init__()
        self.config = type("Config", (), {"time_cond_proj_dim": width})()
        self.mean, self.outward = nn.Parameter(mean.clone()), nn.Parameter(outward.clone())
        self._w = torch.zeros(())

    def forward(self, x_t: Tensor, timesteps: Tensor, *, timestep_cond: Tensor, **given: Any) -> Any:
        sine, cosine = timestep_cond.chunk(2, dim=1)
        self._w = 10 * torch.atan2(sine[:, -1], cosine[:, -1]).to(x_t.dtype).view(-1, 1, 1, 1)
        return super().forward(x_t, timesteps, **given)

    def x0(self, x_t: Tensor, timesteps: Tensor, pooled: Tensor) -> Tensor:
        alpha, sigma = SCHEDULE.at(timesteps, x_t)
        mean, variance = (self.mean + self._w * self.outward).to(x_t.dtype), VARIANCE.to(x_t.dtype)
        return mean + alpha * variance / (alpha**2 * variance + sigma**2) * (x_t - alpha * mean)


def objective(student: nn.Module, w_max: float = 4.0) -> GdObjective:
    return GdObjective(denoiser(student), denoiser(GaussianUNet()), GdRecipe(w_min=0.0, w_max=w_max))


def batch(n: int = 64, seed: int = 2) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    latents = MEAN + VARIANCE.sqrt() * torch.randn(n, *SHAPE, generator=rng, dtype=torch.float64)
    return {"latents": latents, "condition": condition(n)}


def loss(student: nn.Module) -> float:
    return float(objective(student).losses("student", batch(), Draws(step_generator(0, 0)))["guidance"].detach())


def test_the_guided_teacher_is_where_the_loss_is_nothing() -> None:
    assert loss(ToldUNet(MEAN, OUTWARD)) < 1e-9  # w is embedded in float32
    assert loss(ToldUNet(MEAN + OUTWARD, OUTWARD)) > 1e-2  # the scale taken for w: one too much everywhere
    assert loss(ToldUNet(MEAN, torch.zeros_like(OUTWARD))) > 1e-2  # the teacher without guidance


def test_the_gradient_reaches_the_student_alone() -> None:
    student, teacher = ToldUNet(MEAN, torch.zeros_like(OUTWARD)), ToldTeacher()
    trained = GdObjective(denoiser(student), denoiser(teacher), GdRecipe())
    trained.losses("student", batch(), Draws(step_generator(0, 0)))["guidance"].backward()
    assert student.outward.grad is not None
    assert float(student.outward.grad.abs().min()) > 0
    assert teacher.shift.grad is None
    assert list(trained.trained) == ["student"]


class ToldTeacher(GaussianUNet):
    """A teacher with a parameter that a gradient could reach."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(()))

    def x0(self, x_t: Tensor, timesteps: Tensor, pooled: Tensor) -> Tensor:
        return super().x0(x_t, timesteps, pooled) + self.shift


def test_training_finds_one_network_for_all_w() -> None:
    """From a student that knows nothing: its mean and where w moves it."""
    student = ToldUNet(torch.zeros_like(MEAN), torch.zeros_like(MEAN))
    config = TrainConfig(
        steps=250, batch_size=32, learning_rate=0.3, betas=(0.9, 0.95), weight_decay=0.0, ema_decay=None,
        warmup_steps=1, max_grad_norm=100.0, decay_fraction=0.5,
    )  # fmt: skip
    for _ in train(objective(student), lambda step: batch(32, step), config):
        pass
    # nothing is left at the minimum, so the noise of the batches dies out with the error
    assert torch.allclose(student.mean.detach(), MEAN, atol=0.05)
    assert torch.allclose(student.outward.detach(), OUTWARD, atol=0.05)


@pytest.mark.parametrize("steps", [25, 8, 4])
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_stock_ddim_lands_where_the_guided_teacher_lands(steps: int, scale: float) -> None:
    teacher, student = denoiser(GaussianUNet()), denoiser(ToldUNet(MEAN, OUTWARD))
    start = torch.randn(5, *SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def told(w: float) -> Tensor:
        return sampled(steps, start, lambda x, t: student.output(x, t, condition(5), torch.full((5,), w)))

    wanted = sampled(steps, start, lambda x, t: teacher.guided_output(x, t, condition(5), scale))
    # w is embedded in float32, and DDIM's alphas are float32 products
    assert torch.allclose(told(scale - 1), wanted, atol=1e-4)
    assert not torch.allclose(told(scale), wanted, atol=0.1)  # told the scale instead of w


@torch.no_grad()
def sampled(steps: int, x: Tensor, output: Any) -> Tensor:
    recipe = GuidanceDistillation.default_recipe
    scheduler = DDIMScheduler.from_config(CONFIG, **recipe.scheduler_config)
    scheduler.set_timesteps(steps)
    for t in scheduler.timesteps:
        x = scheduler.step(output(x, t.expand(len(x))), t, x).prev_sample
    return x


def test_every_timestep_and_the_whole_range_of_w_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Tensor, Tensor]] = []
    true = Denoiser.output

    def spy(self: Denoiser, x_t: Tensor, timesteps: Tensor, given: Any, w: Tensor | None = None) -> Tensor:
        if w is not None:
            seen.append((timesteps, w))
        return true(self, x_t, timesteps, given, w)

    monkeypatch.setattr(Denoiser, "output", spy)
    trained = GdObjective(denoiser(ToldUNet(MEAN, OUTWARD)), denoiser(GaussianUNet()), GdRecipe(w_min=0.5, w_max=3.0))
    trained.losses("student", batch(1000), Draws(step_generator(0, 0)))
    ((t, w),) = seen
    assert sorted(t.tolist()) == list(range(1000))
    assert 0.5 <= float(w.min()) < 0.52
    assert 2.98 < float(w.max()) <= 3.0
    assert abs(float(torch.corrcoef(torch.stack([t.double(), w.double()]))[0, 1])) < 0.15  # five standard errors


def test_what_cannot_be_distilled_is_refused() -> None:
    with pytest.raises(ValueError, match="with_guidance_input"):
        objective(GaussianUNet())
    with pytest.raises(ValueError, match="w_min"):
        GdRecipe(w_min=-1.0)
    noise = Denoiser(ToldUNet(MEAN, OUTWARD), SCHEDULE, "epsilon")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'epsilon'"):
        GdObjective(noise, denoiser(GaussianUNet()), GdRecipe())
