"""DMD2 on Gaussians and on a mixture: its gradient is that of a divergence, and its student keeps the spread."""

from __future__ import annotations

import copy
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import LCMScheduler
from torch import Tensor, nn

from bench.suites.shapes.generator.networks import make_unet
from methods.distill.denoiser import Denoiser
from methods.distill.draws import Draws
from methods.distill.loop import step_generator, train
from methods.distill.objective import Batch
from methods.dmd2 import DMD2
from methods.dmd2.objective import Dmd2Objective
from methods.dmd2.recipe import Dmd2Recipe
from tests.training.gaussian import CONFIG, MEAN, SCHEDULE, SHAPE, VARIANCE, GaussianUNet, Known, condition, denoiser
from tests.training.test_add_mixture import BATCH, CENTRES, MODES, RADIUS, SPREAD, MixtureUNet, batches, data, null, w2
from tests.training.tiny_add import ZERO_SNR, UnetConfig, gradient_norm, latent_batch
from tests.training.tiny_add import denoiser as of_unet

PLAIN = Dmd2Recipe(
    steps=1, teacher_guidance=1.0, normalised=False, adversarial_weight=0.0, optimizer="adamw", max_grad_norm=1e9
)


class Sampler(Known):
    """From pure noise a sample of N(mean, std^2); at another timestep it says the mean alone."""

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.mean, self.log_std = nn.Parameter(mean.clone()), nn.Parameter(std.log())

    def x0(self, x_t: Tensor, timesteps: Tensor, pooled: Tensor) -> Tensor:
        noisy = (timesteps == 999).view(-1, 1, 1, 1)
        return self.mean + torch.where(noisy, self.log_std.exp() * x_t, torch.zeros_like(x_t))


class LearningGaussian(GaussianUNet):
    """The exact denoiser of a Gaussian whose mean and variance are to be found."""

    def __init__(self, mean: Tensor, variance: Tensor) -> None:
        super().__init__(null_mean=mean)
        self.found_mean, self.log_variance = nn.Parameter(mean.clone()), nn.Parameter(variance.log())

    def x0(self, x_t: Tensor, timesteps: Tensor, pooled: Tensor) -> Tensor:
        self.mean, self.variance = self.found_mean, self.log_variance.exp()
        return super().x0(x_t, timesteps, pooled)


def batch(n: int) -> Batch:
    return {"latents": torch.zeros(n, *SHAPE, dtype=torch.float64), "condition": condition(n)}


def draws(step: int = 0) -> Draws:
    return Draws(step_generator(0, step))


def divergence(mean: Tensor, std: Tensor, t: int) -> Tensor:
    """KL(student_t, teacher_t) in closed form, summed over coordinates."""
    alpha, sigma = SCHEDULE.at(t, mean)
    ours, theirs = (alpha**2 * v + sigma**2 for v in (std**2, VARIANCE))
    away = alpha**2 * (mean - MEAN).square() / theirs
    return 0.5 * (ours / theirs - 1 - (ours / theirs).log() + away).sum()


@pytest.mark.parametrize("t", [200, 700])
def test_the_gradient_is_that_of_the_divergence(t: int) -> None:
    """By mean and spread of a Gaussian student, with the exact score of its samples, times sigma^2 / alpha^2."""
    mean, std = MEAN + 0.8, (VARIANCE.sqrt() * 0.5 + 0.4).clone()
    student, exact = Sampler(mean, std), GaussianUNet(mean, std**2, mean)
    recipe = replace(PLAIN, score_timesteps=(t, t + 1))
    trained = Dmd2Objective(denoiser(student), denoiser(GaussianUNet()), recipe, exact)
    n = 40_000
    loss = trained.losses("student", batch(n), draws())["matching"]
    loss.backward()  # type: ignore[no-untyped-call]
    here, spread = mean.clone().requires_grad_(), std.clone().requires_grad_()
    alpha, sigma = SCHEDULE.at(t, torch.ones((), dtype=torch.float64))
    wanted = torch.autograd.grad(sigma**2 / alpha**2 * divergence(here, spread, t), (here, spread))
    found = (student.mean.grad, student.log_std.grad)
    assert found[0] is not None
    assert found[1] is not None
    gradient = trained.matching_gradient(trained.student_sample(batch(n), draws(1)), condition(n), draws(2))
    tolerance = 10 * float(gradient.std(dim=0).max()) / n**0.5  # of the samples; times the noise, which is of order 1
    # the mean over the coordinates, which the loss takes, is taken back
    assert torch.allclose(found[0] * MEAN.numel(), wanted[0], atol=tolerance)
    assert torch.allclose(found[1] * MEAN.numel() / std, wanted[1], atol=tolerance)
    assert min(float(gradient.abs().max()) for gradient in wanted) > 2 * tolerance


def test_it_is_nothing_where_the_distributions_are_one() -> None:
    student = Sampler(MEAN, VARIANCE.sqrt())
    trained = Dmd2Objective(denoiser(student), denoiser(GaussianUNet()), PLAIN, GaussianUNet(null_mean=MEAN))
    gradient = trained.matching_gradient(trained.student_sample(batch(64), draws()), condition(64), draws(1))
    assert float(gradient.abs().max()) < 1e-12
    other = Dmd2Objective(denoiser(student), denoiser(GaussianUNet()), PLAIN, GaussianUNet(MEAN, VARIANCE * 2))
    assert float(other.matching_gradient(MEAN.expand(64, *SHAPE), condition(64), draws()).abs().max()) > 0.1


def test_normalised_the_direction_stays_and_the_size_is_the_samples_own() -> None:
    x0 = torch.randn(8, *SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    fake = GaussianUNet(MEAN + 1, VARIANCE * 2)
    plain, scaled = (
        Dmd2Objective(
            denoiser(Sampler(MEAN, VARIANCE)), denoiser(GaussianUNet()),
            replace(PLAIN, normalised=normalised), fake,
        ).matching_gradient(x0, condition(8), draws())
        for normalised in (False, True)
    )  # fmt: skip
    ratio = (plain / scaled).flatten(1)
    assert torch.allclose(ratio, ratio[:, :1].expand_as(ratio), rtol=1e-9)
    assert float(ratio.std()) > 0.05


def matched(fake_rate: float, steps: int = 260) -> Sampler:
    """A student from a wrong mean and a narrow spread, and a fake score that starts as the teacher's."""
    student = Sampler(torch.zeros_like(MEAN), torch.full_like(MEAN, 0.3))
    recipe = replace(PLAIN, fake_updates=2, student_rate=0.1, fake_rate=fake_rate, betas=(0.5, 0.99))
    fake = LearningGaussian(MEAN, VARIANCE)
    trained = Dmd2Objective(denoiser(student), denoiser(GaussianUNet()), recipe, fake)
    config = recipe.training(steps=steps, batch_size=256, seed=0, warmup_steps=1)
    for _ in train(trained, lambda step: batch(256), config):
        pass
    return student


def test_training_matches_mean_and_spread() -> None:
    """ADD's distillation loss alone ends at the mean without any spread; the fake score holds the samples apart."""
    student = matched(fake_rate=0.1)
    # two players of stochastic gradients: a tenth of a standard deviation of the widest coordinate
    assert torch.allclose(student.mean.detach(), MEAN, atol=0.17)
    assert torch.allclose(student.log_std.exp().detach(), VARIANCE.sqrt(), atol=0.17)


def test_a_fake_score_that_does_not_learn_teaches_nothing() -> None:
    """It stays the teacher's, so that the two scores are one everywhere."""
    student = matched(fake_rate=0.0, steps=20)
    assert float(student.mean.detach().abs().max()) < 1e-9


def test_the_student_learns_in_every_kth_step_alone() -> None:
    student = Sampler(torch.zeros_like(MEAN), torch.ones_like(MEAN))
    recipe = replace(PLAIN, fake_updates=3)
    trained = Dmd2Objective(denoiser(student), denoiser(GaussianUNet()), recipe, LearningGaussian(MEAN + 1, VARIANCE))
    moved: list[int] = []
    before = student.mean.detach().clone()
    for log in train(trained, lambda step: batch(8), recipe.training(steps=7, batch_size=8, seed=0, warmup_steps=1)):
        average: Any = log.averages["student"]
        if not torch.equal(before, student.mean):
            moved.append(log.step)
            assert set(log.losses) == {"student/matching", "fake/denoising"}
        assert torch.equal(average.mean, student.mean) == (log.step < 3)  # the average moves with the student alone
        before = student.mean.detach().clone()
    assert moved == [3, 6]


def test_the_student_is_fed_its_own_samples() -> None:
    """One that always says c is fed alpha c + sigma eps at later timesteps, and pure noise at the first."""
    recipe = Dmd2Recipe(steps=4, adversarial_weight=0.0)
    c = MEAN + 3
    student = Sampler(c, torch.full_like(MEAN, 1e-9))
    trained = Dmd2Objective(denoiser(student), denoiser(GaussianUNet()), recipe, GaussianUNet())
    x_t, t = trained.student_input(batch(4000)["latents"], condition(4000), draws())
    assert sorted(set(t.tolist())) == [249, 499, 749, 999]
    alpha, sigma = SCHEDULE.at(t, x_t)
    noise = (x_t - alpha * c) / sigma
    for tau in (999, 749, 499, 249):
        rows = noise[t == tau]
        assert len(rows) == pytest.approx(1000, abs=5 * 27.4)  # five standard deviations of a quarter of 4000
        assert torch.allclose(rows.mean(dim=0), torch.zeros_like(MEAN), atol=5 / len(rows) ** 0.5)
        assert torch.allclose(rows.std(dim=0), torch.ones_like(MEAN), atol=5 / (2 * len(rows)) ** 0.5)
    scheduler = LCMScheduler.from_config(CONFIG, **DMD2.default_recipe.scheduler_config)
    scheduler.set_timesteps(4)
    assert scheduler.timesteps.tolist() == trained.taus.tolist()
    scheduler.set_timesteps(1)
    assert scheduler.timesteps.tolist() == [999]


@pytest.fixture(scope="module")
def real() -> Dmd2Objective:
    """The suite's networks with random weights, small, with the GAN term."""
    torch.manual_seed(0)
    teacher = make_unet((16, 32)).requires_grad_(False)
    student = copy.deepcopy(teacher).requires_grad_(True)
    trained = Dmd2Objective(of_unet(student), of_unet(teacher), Dmd2Recipe(teacher_guidance=2.0))
    assert trained.fake_score.head is not None
    nn.init.normal_(trained.fake_score.head.layers[3].weight)  # it starts at zero, which passes no gradient on
    return trained


@pytest.mark.parametrize("term", ["matching", "adversarial"])
def test_each_term_of_the_student_reaches_it_and_nothing_else(real: Dmd2Objective, term: str) -> None:
    for network in real.trained.values():
        network.zero_grad(set_to_none=True)
    with torch.no_grad():
        real.fake.unet.conv_out.bias.add_(0.1)  # a fake score that is not the teacher's
    real.losses("student", latent_batch(4), draws())[term].backward()
    assert gradient_norm(real.student.unet) > 0
    assert all(p.grad is None for network in (real.teacher.unet, real.fake_score) for p in network.parameters())
    assert all(p.requires_grad for p in real.fake_score.parameters())


@pytest.mark.parametrize("after_the_student", [True, False])
def test_the_terms_of_the_fake_score_do_not_reach_the_student(real: Dmd2Objective, after_the_student: bool) -> None:
    if after_the_student:
        real.losses("student", latent_batch(4), draws())
    for network in real.trained.values():
        network.zero_grad(set_to_none=True)
    losses = real.losses("fake", latent_batch(4), draws(1))
    assert set(losses) == {"denoising", "adversarial"}
    torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
    assert real.fake_score.head is not None
    assert gradient_norm(real.fake_score.unet) > 0
    assert gradient_norm(real.fake_score.head) > 0
    assert gradient_norm(real.student.unet) == 0
    assert all(p.grad is None for p in real.teacher.unet.parameters())


def test_choices_that_make_no_sense_are_refused() -> None:
    for wrong in ({"steps": 0}, {"fake_updates": 0}, {"score_timesteps": (5, 5)}, {"adversarial_weight": -1.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Dmd2Recipe(**wrong)  # type: ignore[arg-type]
    noise = Denoiser(Sampler(MEAN, VARIANCE), SCHEDULE, "epsilon")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="zero terminal SNR"):
        Dmd2Objective(noise, denoiser(GaussianUNet()), PLAIN, GaussianUNet())


class Small(nn.Module):
    """A small network of v-prediction on points (N, 2, 1, 1)."""

    config = UnetConfig()

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 96), nn.SiLU(), nn.Linear(96, 96), nn.SiLU(), nn.Linear(96, 2))

    def forward(self, x_t: Tensor, timesteps: Tensor, **_: Any) -> Any:
        alpha, sigma = ZERO_SNR.at(timesteps, x_t)
        given = torch.cat([x_t, alpha, sigma], dim=1)[:, :, 0, 0]
        v = self.body(given)[:, :, None, None] - (1 - alpha) * x_t
        return type("Output", (), {"sample": v})()


def test_the_mixture_is_matched_in_one_step() -> None:
    """The modes that one-step regression averages to the centre, whose W2 is the radius."""
    torch.manual_seed(0)
    student, fake = Small(), Small()
    recipe = replace(PLAIN, normalised=True, fake_updates=2, student_rate=3e-3, fake_rate=5e-3, ema_decay=0.95)
    trained = Dmd2Objective(
        Denoiser(student, ZERO_SNR, "v_prediction"),  # type: ignore[arg-type]
        Denoiser(MixtureUNet(), ZERO_SNR, "v_prediction"),  # type: ignore[arg-type]
        recipe, fake,
    )  # fmt: skip
    config = recipe.training(steps=800, batch_size=BATCH, seed=0, warmup_steps=10)
    for log in train(trained, batches(0), config):
        averages = log.averages
    network: Any = averages["student"]
    with torch.no_grad():
        noise = torch.randn(504, 2, 1, 1, generator=torch.Generator().manual_seed(77))
        made = Denoiser(network, ZERO_SNR, "v_prediction").x0(noise, torch.full((504,), 999), null(504))[:, :, 0, 0]
    nearest = torch.cdist(made, CENTRES).min(dim=1)
    shares = torch.bincount(nearest.indices, minlength=MODES) / len(made)
    found = w2(made, data(504, 10**6))
    sys.stdout.write(
        f"\nW2 {found:.3f}, within a mode {float((nearest.values < 5 * SPREAD).float().mean()):.2f}, mode shares "
        f"{' '.join(f'{share:.3f}' for share in shares.tolist())}\n"
    )
    assert float(shares.min()) > 0, "a mode is lost"
    assert found < RADIUS / 3
