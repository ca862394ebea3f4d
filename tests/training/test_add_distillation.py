"""ADD's score distillation against closed forms, for a teacher whose data are N(m, 1)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from methods.add.distillation import distillation_weight, noise_free_score, teacher_target
from methods.add.recipe import AddRecipe
from methods.diffusion.ddim import ddim_step
from tests.training.tiny_add import (
    PLAIN,
    ZERO_SNR,
    GaussianUNet,
    constant,
    denoiser,
    draws,
    gaussian_add,
)

MEAN = 0.7
SHAPE = (1, 4, 4)
SIZE = 16
RECIPE = AddRecipe(teacher_guidance=1.0, distance_scale=SIZE)  # with one number a coordinate the norm is a sum
# float32 rounds to 6e-8; alpha and sigma cancel in at most a few terms of order 10
TIGHT: dict[str, Any] = {"rtol": 2e-4, "atol": 2e-5}


def drawn(recipe: AddRecipe, n: int) -> tuple[Tensor, Tensor]:
    """The timesteps and the noise that the loss draws."""
    same = draws()
    return same.integers(*recipe.teacher_timesteps, n), same.normal(n, *SHAPE)


def sample(n: int = 16, scale: float = 2.0) -> Tensor:
    return (scale * torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(3))).requires_grad_()


def loss_and_gradient(recipe: AddRecipe, x: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
    objective = gaussian_add(recipe, MEAN, options.get("negative"))
    loss = objective.distillation_loss(x, x, constant(len(x), options.get("condition", 0.0)), draws())
    (gradient,) = torch.autograd.grad(loss, x)
    return loss.detach(), gradient


def test_loss_and_gradient_equal_their_closed_forms() -> None:
    """x - x0_teacher = sigma^2 (x - m) - alpha sigma eps, since x0_teacher = m + alpha (x_t - alpha m)."""
    x = sample()
    loss, gradient = loss_and_gradient(RECIPE, x)
    t, eps = drawn(RECIPE, len(x))
    alpha, sigma = ZERO_SNR.at(t, x)
    difference = (sigma**2 * (x - MEAN) - alpha * sigma * eps).detach()
    assert torch.allclose(loss, (alpha.flatten() * difference.square().sum(dim=(1, 2, 3))).mean(), **TIGHT)
    assert torch.allclose(gradient, 2 * alpha * difference / len(x), **TIGHT)
    through_the_teacher = 2 * alpha * difference * sigma**2 / len(x)  # without the stop-gradient
    assert not torch.allclose(gradient, through_the_teacher, rtol=0.1)


def test_the_minimiser_is_the_mean_and_the_spread_collapses() -> None:
    """Adam on the samples themselves, as free as a student can be: all end at m, though the data have variance 1."""
    objective = gaussian_add(replace(RECIPE, teacher_timesteps=(300, 980)), MEAN)
    x = sample(64).detach().requires_grad_()
    optimizer = torch.optim.Adam([x], lr=0.1)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 300)
    for step in range(300):
        optimizer.zero_grad()
        (objective.distillation_loss(x, x, constant(64, 0.0), draws(step)) * 64).backward()
        optimizer.step()
        rate.step()
    # eps still shakes each coordinate: by the last rates times a gradient of order one
    assert float(x.detach().mean()) == pytest.approx(MEAN, abs=0.05)
    assert float(x.detach().std()) < 0.2
    assert float(sample(64).std()) > 1.8


@pytest.mark.parametrize("score_weight", ["sigma-squared", "constant"])
def test_the_gradient_of_sds_is_that_of_autograd_for_the_named_weight(score_weight: Any) -> None:
    recipe = replace(RECIPE, weighting="sds", score_weight=score_weight)
    x = sample()
    _, gradient = loss_and_gradient(recipe, x)
    t, eps = drawn(recipe, len(x))
    alpha, sigma = ZERO_SNR.at(t, x)
    w = sigma**2 if score_weight == "sigma-squared" else torch.ones_like(sigma)
    # the diffusion loss w / 2 |eps_teacher - eps|^2 with the teacher's Jacobian taken as the identity over alpha
    x_t = alpha * x + sigma * eps
    _, teacher = gaussian_add(recipe, MEAN).teacher.split(
        GaussianUNet(MEAN)(x_t.detach(), t, encoder_hidden_states=torch.zeros(len(x), 1, 1)).sample, x_t.detach(), t
    )
    surrogate = x_t / alpha + (teacher - x_t / alpha).detach()
    (wanted,) = torch.autograd.grad((w / 2 * (surrogate - eps).square()).sum() / len(x), x)
    assert torch.allclose(gradient, wanted, **TIGHT)
    other = sigma**2 if score_weight == "constant" else torch.ones_like(sigma)
    assert not torch.allclose(gradient, wanted * other / w, rtol=0.01)


def test_the_weights_are_functions_of_alpha_and_not_of_an_index() -> None:
    """c(t) = alpha_t falls with noise; a public re-implementation has it reversed."""
    alpha, sigma = ZERO_SNR.at(torch.tensor([20, 400, 900]), torch.zeros(3))
    falling = distillation_weight(RECIPE, alpha, sigma)
    assert falling.tolist() == sorted(falling.tolist(), reverse=True)
    assert torch.equal(falling, alpha)
    sds = distillation_weight(replace(RECIPE, weighting="sds"), alpha, sigma)
    assert torch.allclose(sds, alpha * sigma / 2)


def test_nfsd_equals_its_definition() -> None:
    """eps_k = sigma (x_t - alpha m_k): delta_C = -sigma alpha c, delta_D = sigma alpha n at 200 and above."""
    c, n, scale = 0.9, -0.4, 3.0
    recipe = replace(RECIPE, weighting="nfsd", teacher_guidance=scale)
    t = torch.tensor([20, 199, 200, 700])
    x_t = sample(4).detach()
    alpha, sigma = ZERO_SNR.at(t, x_t)
    teacher = denoiser(GaussianUNet(MEAN))
    found = noise_free_score(teacher, x_t, t, constant(4, c), constant(4, n), recipe)
    domain = torch.where(t.view(-1, 1, 1, 1) < 200, sigma * (x_t - alpha * MEAN), (sigma * alpha * n).expand_as(x_t))
    assert torch.allclose(found, domain - scale * sigma * alpha * c, **TIGHT)
    late = noise_free_score(teacher, x_t, t, constant(4, c), constant(4, n), replace(recipe, negative_below=1000))
    assert torch.allclose(found[:2], late[:2])
    assert not torch.allclose(found[2:], late[2:], rtol=0.1)


def test_the_gradient_of_nfsd_holds_no_noise() -> None:
    """Its gradient is w(t) (delta_D + s delta_C); at 200 and above that is the same at every coordinate of an image."""
    recipe = replace(RECIPE, weighting="nfsd", teacher_guidance=3.0, teacher_timesteps=(200, 980))
    x = sample()
    _, gradient = loss_and_gradient(recipe, x, condition=0.9, negative=constant(1, -0.4))
    t, _ = drawn(recipe, len(x))
    alpha, sigma = ZERO_SNR.at(t, x)
    wanted = sigma**2 * (sigma * alpha * -0.4 - 3.0 * sigma * alpha * 0.9) / len(x)
    # the target is x plus sigma / alpha, up to 100, times the score: the difference of the two loses digits
    assert torch.allclose(gradient, wanted.expand_as(gradient), rtol=2e-3, atol=1e-4)
    _, noisy = loss_and_gradient(replace(recipe, weighting="sds"), x, condition=0.9)
    assert float(noisy.std(dim=(1, 2, 3)).mean()) > 10 * float(gradient.std(dim=(1, 2, 3)).mean())


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_several_teacher_steps_are_composed_ddim_steps(steps: int) -> None:
    recipe = replace(RECIPE, teacher_steps=steps, teacher_guidance=2.0)
    teacher = denoiser(GaussianUNet(MEAN))
    x, t = sample(4).detach(), torch.tensor([40, 401, 777, 979])
    eps = torch.randn(x.shape, generator=torch.Generator().manual_seed(8))
    found = teacher_target(teacher, x, eps, t, constant(4, 0.5), constant(4, 0.0), recipe)
    x_t = ZERO_SNR.add_noise(x, eps, t)
    for k in range(steps):
        now, after = t * (steps - k) // steps, t * (steps - k - 1) // steps
        x0, eps_teacher = teacher.guided(x_t, now, constant(4, 0.5), 2.0)
        x_t = ddim_step(ZERO_SNR, x0, eps_teacher, after if k < steps - 1 else -1)
    assert torch.allclose(found, x_t, **TIGHT)
    if steps > 1:
        single = teacher_target(
            teacher, x, eps, t, constant(4, 0.5), constant(4, 0.0), replace(recipe, teacher_steps=1)
        )
        assert not torch.allclose(found, single, rtol=0.05)


def test_a_noise_predicting_teacher_gives_the_same_target() -> None:
    """Epsilon and v are the same teacher, where the schedule leaves alpha above zero."""
    x, t = sample(4).detach(), torch.tensor([40, 401, 777, 979])
    eps = torch.randn(x.shape, generator=torch.Generator().manual_seed(8))
    targets = [
        teacher_target(
            denoiser(GaussianUNet(MEAN, PLAIN, kind), PLAIN, kind),
            x,
            eps,
            t,
            constant(4, 0.5),
            constant(4, 0.0),
            RECIPE,
        )
        for kind in ("epsilon", "v_prediction")
    ]
    assert torch.allclose(*targets, rtol=1e-3, atol=1e-3)  # epsilon loses the digits of sigma / alpha, up to 14


def test_guidance_moves_the_target_away_from_the_null_condition() -> None:
    """x0 under guidance s is that of the mean m + s c."""
    x, t = sample(4).detach(), torch.tensor([300, 500, 700, 900])
    recipe = replace(RECIPE, teacher_guidance=4.0)
    eps = torch.zeros_like(x)
    guided = teacher_target(denoiser(GaussianUNet(MEAN)), x, eps, t, constant(4, 0.5), constant(4, 0.0), recipe)
    moved = teacher_target(
        denoiser(GaussianUNet(MEAN + 4 * 0.5)), x, eps, t, constant(4, 0.0), constant(4, 0.0), RECIPE
    )
    assert torch.allclose(guided, moved, **TIGHT)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"weighting": "linear"}, "weighting must be one of exponential, sds, nfsd"),
        ({"score_weight": "snr"}, "score_weight must be one of"),
        ({"terminal_input": "zero"}, "terminal_input must be one of"),
        ({"augmentation": ("colour", "flip")}, "augmentation must be one of"),
        ({"teacher_steps": 0}, "teacher_steps must be 1 or more"),
        ({"weighting": "nfsd", "teacher_steps": 2}, "use teacher_steps=1"),
        ({"student_timesteps": ()}, "student_timesteps"),
    ],
)
def test_a_recipe_refuses_what_is_no_choice(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AddRecipe(**wrong)
