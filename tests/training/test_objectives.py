"""ADD and LCM by meaning: gradients reach what learns and nothing else, and targets equal their closed forms."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from bench.suites.shapes.generator.networks import POOLED_WIDTH, TEXT_WIDTHS, make_unet, make_vae
from bench.suites.shapes.training.eye import DEPTHS, make_eye
from methods.add.discriminator import (
    Discriminator,
    FrozenFeatures,
    hinge_discriminator,
    hinge_generator,
    r1_penalty,
)
from methods.add.objective import AddObjective, AddRecipe, distillation_loss
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


@pytest.fixture(scope="module")
def add() -> AddObjective:
    torch.manual_seed(0)
    teacher = make_unet().requires_grad_(False)
    student = copy.deepcopy(teacher).requires_grad_(True)
    vae = make_vae().requires_grad_(False)
    features = FrozenFeatures(make_eye(), DEPTHS)
    return AddObjective(denoiser(student), denoiser(teacher), vae, features, AddRecipe())


def gradient_norm(network: nn.Module) -> float:
    return sum(float(p.grad.norm()) for p in network.parameters() if p.grad is not None)


@pytest.mark.parametrize("term", ["adversarial", "distill"])
def test_each_loss_of_add_reaches_the_student_and_nothing_frozen(add: AddObjective, term: str) -> None:
    for network in (add.student.unet, add.discriminator):
        network.zero_grad(set_to_none=True)
    add.losses("student", latent_batch(), draws(0))[term].backward()
    assert gradient_norm(add.student.unet) > 0
    frozen = (add.teacher.unet, add.features, add.vae)
    assert all(p.grad is None for network in frozen for p in network.parameters())
    assert not any(p.requires_grad for network in frozen for p in network.parameters())


def test_the_discriminator_learns_from_both_terms_and_the_student_does_not(add: AddObjective) -> None:
    add.losses("student", latent_batch(), draws(0))
    add.student.unet.zero_grad(set_to_none=True)
    add.discriminator.zero_grad(set_to_none=True)
    losses = add.losses("discriminator", latent_batch(), draws(1))
    assert set(losses) == {"hinge", "r1"}
    torch.stack(list(losses.values())).sum().backward()
    assert gradient_norm(add.discriminator) > 0
    assert gradient_norm(add.student.unet) == 0


def test_features_stay_in_eval_mode(add: AddObjective) -> None:
    add.features.train()
    assert not any(module.training for module in add.features.modules())


def test_hinge_losses_equal_their_closed_forms() -> None:
    real, fake = [torch.tensor([[2.0, 0.5]])], [torch.tensor([[-2.0, 0.0]])]
    assert float(hinge_discriminator(real, fake)) == pytest.approx((0 + 0.5) / 2 + (0 + 1) / 2)
    assert float(hinge_discriminator(fake, real)) > float(hinge_discriminator(real, fake))  # the sides are not alike
    assert float(hinge_generator(fake)) == pytest.approx(1.0)
    assert float(hinge_generator([*fake, *fake])) == pytest.approx(2.0)  # a sum over heads


def test_r1_of_a_linear_head_is_its_squared_norm() -> None:
    weight = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    tokens = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(1)).requires_grad_()
    logits = (tokens * weight).sum(dim=(1, 2))
    assert float(r1_penalty([logits], [tokens])) == pytest.approx(float(weight.square().sum()), rel=1e-5)
    assert float(r1_penalty([2 * logits], [tokens])) == pytest.approx(4 * float(weight.square().sum()), rel=1e-5)


def test_r1_trains_the_heads() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(2, 6, 4)
    tokens = [torch.randn(8, 6, 9).requires_grad_() for _ in range(2)]
    r1_penalty(discriminator(tokens, torch.randn(8, 4)), tokens).backward()
    assert gradient_norm(discriminator) > 0


class PixelVae(nn.Module):
    """Decodes a latent to itself."""

    config = type("Config", (), {"scaling_factor": 1.0})()

    def decode(self, latents: Tensor) -> Any:
        return type("Output", (), {"sample": latents})()


def test_the_distillation_loss_equals_its_closed_form_for_a_gaussian_teacher() -> None:
    """With x_t = alpha x + sigma eps the teacher's x0 is m + alpha (x_t - alpha m): only eps is random in it."""
    mean, n = 0.7, 4096
    teacher, student = GaussianUNet(mean).requires_grad_(False), make_unet()
    objective = AddObjective(
        denoiser(student), denoiser(teacher), PixelVae(), FrozenFeatures(make_eye(), DEPTHS),  # type: ignore[arg-type]
        replace(AddRecipe(), teacher_guidance=1.0, distance_scale=1.0, teacher_timesteps=(400, 401)),
    )  # fmt: skip
    sample = torch.full((n, 1, 4, 4), 2.0, requires_grad=True)
    loss = distillation_loss(objective, sample, sample, condition(n), draws(0))
    loss.backward()
    alpha, sigma = float(SCHEDULE.alpha[400]), float(SCHEDULE.sigma[400])
    # sample - target = sigma^2 (x - m) - alpha sigma eps
    expected = alpha * (sigma**4 * (2.0 - mean) ** 2 + alpha**2 * sigma**2)
    standard_error = alpha * 2 * sigma**3 * (2.0 - mean) * alpha / (16 * n) ** 0.5
    assert float(loss) == pytest.approx(expected, abs=6 * standard_error)
    # the target is detached: d/dx is 2 alpha (x - target), in the mean 2 alpha sigma^2 (x - m), over 16 n numbers
    assert sample.grad is not None
    gradient = float(sample.grad.sum())
    assert gradient == pytest.approx(2 * alpha * sigma**2 * (2.0 - mean), rel=0.02)
    attached = 2 * alpha * sigma**4 * (2.0 - mean)  # what it would be with the gradient through the teacher
    assert abs(gradient - attached) > 0.1 * gradient


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


def test_an_autoencoder_is_what_add_decodes_with(add: AddObjective) -> None:
    assert isinstance(add.vae, AutoencoderKL)
    assert add.decode(torch.zeros(2, 8, 8, 8)).shape == (2, 3, 32, 32)
