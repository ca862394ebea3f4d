"""UFOGen on Gaussians: what its discriminator compares, what its reconstruction weighs, and what its game ends at."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.suites.shapes.generator.networks import make_unet
from methods.adversarial.backbone import LogitHead, UNetDiscriminator
from methods.distill.denoiser import Condition, Denoiser
from methods.distill.draws import Draws
from methods.distill.loop import step_generator, train
from methods.distill.objective import Batch
from methods.ufogen.objective import UfoGenObjective
from methods.ufogen.recipe import UfoGenRecipe
from tests.training.gaussian import MEAN, SCHEDULE, SHAPE, VARIANCE, condition, denoiser
from tests.training.test_dmd2 import Sampler
from tests.training.tiny_add import denoiser as of_unet
from tests.training.tiny_add import gradient_norm, latent_batch


class Quadratic(nn.Module):
    """Logits a x + b x^2 + c in each coordinate: what tells two Gaussians apart, whichever they are."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(3, *SHAPE, dtype=torch.float64))
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, x_t: Tensor, timesteps: Tensor, _: Condition) -> list[Tensor]:
        self.seen.append((x_t.detach(), timesteps))
        a, b, c = self.weights
        return [(a * x_t + b * x_t.square() + c).flatten(1)]


def batch(n: int, seed: int = 2) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    latents = MEAN + VARIANCE.sqrt() * torch.randn(n, *SHAPE, generator=rng, dtype=torch.float64)
    return {"latents": latents, "condition": condition(n)}


def draws(step: int = 0) -> Draws:
    return Draws(step_generator(0, step))


def game(student: nn.Module, recipe: UfoGenRecipe) -> UfoGenObjective:
    return UfoGenObjective(denoiser(student), Quadratic(), recipe)


def test_the_discriminator_sees_both_sides_under_the_same_noise_level_and_no_more() -> None:
    """Real: N(alpha m, alpha^2 v + sigma^2). Fake, of a generator that always says c: N(alpha c, sigma^2)."""
    n, c = 20_000, MEAN + 1
    trained = game(Sampler(c, torch.full_like(MEAN, 1e-9)), UfoGenRecipe(terminal_share=1.0))
    for network in ("student", "discriminator"):
        trained.losses(network, batch(n), draws())
    discriminator = trained.discriminator
    assert isinstance(discriminator, Quadratic)
    (played, _), (real, t), (fake, also) = discriminator.seen
    assert set(t.tolist()) == set(also.tolist()) == {749}
    alpha, sigma = SCHEDULE.at(749, MEAN)
    spread = 5 / n**0.5  # five standard errors of a mean, for a standard deviation of 1
    assert torch.allclose(real.mean(dim=0), alpha * MEAN, atol=2 * spread)
    assert torch.allclose(real.var(dim=0), alpha**2 * VARIANCE + sigma**2, rtol=2 * spread)
    for sample in (played, fake):
        assert torch.allclose(sample.mean(dim=0), alpha * c, atol=spread)
        assert torch.allclose(sample.var(dim=0), (sigma**2).expand_as(MEAN), rtol=2 * spread)
    between = ((played - alpha * c) * (fake - alpha * c)).mean(dim=0)
    assert float(between.abs().max()) < spread  # the players' noise is not the same


def test_the_reconstruction_is_the_error_of_the_noise_and_nothing_at_noise_alone() -> None:
    x0, other = batch(4)["latents"], batch(4, 3)["latents"]
    trained = game(Sampler(MEAN, VARIANCE), UfoGenRecipe())
    t = torch.tensor([30, 400, 900, 998])
    alpha, sigma = SCHEDULE.at(t, x0)
    x_t = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    eps, eps_other = ((x_t - alpha * x) / sigma for x in (x0, other))
    found = trained.reconstruction(other, x0, t)
    assert float(found) == pytest.approx(float((eps - eps_other).square().mean()), rel=1e-9)
    assert float(trained.reconstruction(other, x0, torch.full((4,), 999))) == 0
    assert float((other - x0).square().mean()) > 0.1  # which a plain squared error would ask of pure noise


def test_the_second_timestep_is_an_interval_below() -> None:
    trained = game(Sampler(MEAN, VARIANCE), UfoGenRecipe(intervals=4))
    t, before = trained.timesteps(1000, draws())
    assert sorted(t.tolist()) == list(range(1000))
    assert before.tolist() == [max(0, value - 250) for value in t.tolist()]
    share = game(Sampler(MEAN, VARIANCE), UfoGenRecipe(terminal_share=0.5)).timesteps(4000, draws())[0].eq(999).sum()
    assert int(share) == pytest.approx(2000, abs=5 * 31.7)  # five standard deviations


def played(discriminator_rate: float, steps: int = 350) -> Sampler:
    """The averaged student after the game, from a wrong mean and a narrow spread."""
    student = Sampler(MEAN + 0.7, torch.full_like(MEAN, 0.3))
    recipe = UfoGenRecipe(
        intervals=2, terminal_share=1.0, generator_rate=0.03, discriminator_rate=discriminator_rate,
        optimizer="adamw", betas=(0.0, 0.9), max_grad_norm=1e9, ema_decay=0.97,
    )  # fmt: skip
    config = recipe.training(steps=steps, batch_size=256, seed=0, warmup_steps=1)
    for log in train(game(student, recipe), lambda step: batch(256, step), config):
        averages = log.averages
    network = averages["student"]
    assert isinstance(network, Sampler)
    return network


def test_the_game_ends_at_the_data_in_one_step() -> None:
    """Where one-step regression would end at the mean without any spread."""
    student = played(0.1)
    # the widest coordinate has a standard deviation of 1.7, seen under noise as large
    assert torch.allclose(student.mean, MEAN, atol=0.3)
    assert torch.allclose(student.log_std.exp(), VARIANCE.sqrt(), atol=0.3)


def test_a_discriminator_that_does_not_learn_teaches_nothing() -> None:
    student = played(0.0, steps=20)
    assert torch.allclose(student.mean, MEAN + 0.7, atol=1e-9)


def test_in_its_lead_the_discriminator_alone_learns_and_on_the_generators_samples() -> None:
    start = Sampler(MEAN + 0.7, torch.full_like(MEAN, 0.3))
    recipe = UfoGenRecipe(discriminator_lead=3, terminal_share=1.0, optimizer="adamw")
    trained = game(copy.deepcopy(start), recipe)
    config = recipe.training(steps=4, batch_size=256, seed=0, warmup_steps=1)
    student = trained.trained["student"]
    moved = [not torch.equal(student.mean, start.mean) for _ in train(trained, lambda step: batch(256, step), config)]
    assert moved == [False, False, False, True]
    assert isinstance(trained.discriminator, Quadratic)
    assert float(trained.discriminator.weights.detach().abs().min()) > 0
    led = [x_t for x_t, _ in trained.discriminator.seen[1:6:2]]  # the fakes of three steps
    alpha, _ = SCHEDULE.at(749, MEAN)
    assert torch.allclose(torch.cat(led).mean(dim=0), alpha * start.mean, atol=5 / 768**0.5)


@pytest.fixture(scope="module")
def real() -> UfoGenObjective:
    """The suite's networks, small, with random weights and heads that are decided."""
    torch.manual_seed(0)
    teacher = make_unet((16, 32))
    discriminator = UNetDiscriminator(of_unet(copy.deepcopy(teacher)))
    for head in discriminator.heads:
        assert isinstance(head, LogitHead)
        nn.init.normal_(head.layers[3].weight)  # they start at zero, which passes no gradient on
    return UfoGenObjective(of_unet(teacher), discriminator, UfoGenRecipe())


@pytest.mark.parametrize("term", ["adversarial", "reconstruction"])
def test_each_term_reaches_the_generator_alone(real: UfoGenObjective, term: str) -> None:
    clear(real)
    real.losses("student", latent_batch(4), draws())[term].backward()
    assert gradient_norm(real.generator.unet) > 0
    assert gradient_norm(real.discriminator) == 0
    assert all(p.requires_grad for p in real.discriminator.parameters())


def test_the_discriminator_learns_backbone_and_heads_and_the_generator_does_not(real: UfoGenObjective) -> None:
    real.losses("student", latent_batch(4), draws())
    clear(real)
    real.losses("discriminator", latent_batch(4), draws(1))["adversarial"].backward()
    discriminator: Any = real.discriminator
    assert gradient_norm(discriminator.heads) > 0
    assert gradient_norm(discriminator.unet.down_blocks) > 0
    assert gradient_norm(real.generator.unet) == 0
    with pytest.raises(RuntimeError, match="generator's losses come first"):
        real.losses("discriminator", latent_batch(4), draws(1))


def clear(objective: UfoGenObjective) -> None:
    for network in objective.trained.values():
        network.zero_grad(set_to_none=True)


def test_choices_that_make_no_sense_are_refused() -> None:
    for wrong in (
        {"intervals": 0},
        {"reconstruction_weight": -1.0},
        {"terminal_share": 1.5},
        {"discriminator_lead": -1},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            UfoGenRecipe(**wrong)  # type: ignore[arg-type]
    noise = Denoiser(Sampler(MEAN, VARIANCE), SCHEDULE, "epsilon")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="zero terminal SNR"):
        UfoGenObjective(noise, Quadratic(), UfoGenRecipe())
