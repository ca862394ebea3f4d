"""ADD by meaning: who learns from what, what the student is fed, and what its discriminator is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from bench.suites.shapes.generator.networks import POOLED_WIDTH
from bench.suites.shapes.training.eye import SMALL, make_eye
from methods.add.inputs import student_input, student_timesteps
from methods.add.objective import AddObjective
from methods.add.recipe import AddRecipe
from methods.adversarial.features import FrozenFeatures
from methods.distill.loop import TrainConfig, train
from tests.training.tiny_add import (
    PLAIN,
    ZERO_SNR,
    GaussianUNet,
    PixelVae,
    denoiser,
    draws,
    gaussian_add,
    gradient_norm,
    latent_batch,
    make_add,
)


@pytest.fixture(scope="module")
def add() -> AddObjective:
    return make_add()


def clear(add: AddObjective) -> None:
    for network in (add.student.unet, add.discriminator):
        network.zero_grad(set_to_none=True)


@pytest.mark.parametrize("term", ["adversarial", "distill"])
def test_each_loss_reaches_the_student_and_nothing_frozen(add: AddObjective, term: str) -> None:
    clear(add)
    add.losses("student", latent_batch(), draws())[term].backward()
    assert gradient_norm(add.student.unet) > 0
    frozen: tuple[nn.Module, ...] = (add.teacher.unet, add.features, add.vae)
    assert all(p.grad is None for network in frozen for p in network.parameters())
    assert not any(p.requires_grad for network in frozen for p in network.parameters())


def test_the_discriminator_learns_from_both_terms_and_the_student_does_not(add: AddObjective) -> None:
    for term in ("hinge", "r1"):
        add.losses("student", latent_batch(), draws())
        clear(add)
        add.losses("discriminator", latent_batch(), draws(1))[term].backward()
        assert gradient_norm(add.discriminator) > 0
        assert gradient_norm(add.student.unet) == 0
    with pytest.raises(RuntimeError, match="student's losses come first"):
        add.losses("discriminator", latent_batch(), draws(1))


def test_features_and_decoder_stay_in_eval_mode(add: AddObjective) -> None:
    add.features.train()
    assert not any(module.training for module in add.features.modules())
    assert add.decode(latent_batch(2)["latents"]).shape == (2, 3, 32, 32)


def test_a_caption_encoder_of_its_own_takes_the_place_of_the_pooled_embedding() -> None:
    add = make_add(AddRecipe(condition_image=False, caption_encoder="eye-clip"), caption_width=16)
    batch = {**latent_batch(), "caption": torch.randn(8, 16, generator=torch.Generator().manual_seed(6))}
    other_pooled = {**batch, "condition": replace(batch["condition"], pooled=batch["condition"].pooled.flip(0))}
    other_caption = {**batch, "caption": batch["caption"].flip(0)}
    assert add._conditions(batch).shape == (8, 16)
    assert torch.equal(add._conditions(other_pooled), add._conditions(batch))
    assert not torch.allclose(add._conditions(other_caption), add._conditions(batch))
    with pytest.raises(ValueError, match="caption_encoder 'eye-clip' needs caption_width"):
        make_add(AddRecipe(caption_encoder="eye-clip"))


@pytest.mark.parametrize(("text", "image"), [(True, True), (True, False), (False, True), (False, False)])
def test_each_condition_can_be_switched_off(text: bool, image: bool) -> None:
    add = make_add(AddRecipe(condition_text=text, condition_image=image))
    head: Any = add.discriminator.heads[0]
    width = POOLED_WIDTH * text + SMALL.width * image
    assert (head.project.in_features if head.project else 0) == width
    tokens, _ = add.features(latent_batch()["pixels"])
    batch = latent_batch()
    plain = head(tokens[0], add._conditions(batch))
    other_text = {**batch, "condition": replace(batch["condition"], pooled=batch["condition"].pooled.flip(0))}
    other_image = {**batch, "pixels": batch["pixels"].flip(0)}
    head.eval()  # otherwise the power iteration moves on with every call
    plain = head(tokens[0], add._conditions(batch))
    assert torch.equal(plain, head(tokens[0], add._conditions(other_text))) == (not text)
    assert torch.equal(plain, head(tokens[0], add._conditions(other_image))) == (not image)


def test_at_the_last_timestep_the_student_sees_no_data() -> None:
    """With a noise-predicting teacher whose schedule has no zero terminal SNR, as SDXL's has none."""
    s = torch.tensor([999, 749])
    x0, eps = torch.full((2, 1, 4, 4), 5.0), torch.ones(2, 1, 4, 4)
    x_s = student_input(PLAIN, AddRecipe(), x0, eps, s)
    alpha, sigma = PLAIN.alpha.float(), PLAIN.sigma.float()
    assert torch.allclose(x_s[0], sigma[999] * eps[0])  # what an Euler scheduler of trailing spacing starts from
    assert torch.allclose(x_s[1], alpha[749] * x0[1] + sigma[749] * eps[1])
    leaking = student_input(PLAIN, AddRecipe(terminal_input="schedule"), x0, eps, s)
    assert torch.allclose(leaking[0], x_s[0] + alpha[999] * x0[0])
    assert float(alpha[999]) * 5 > 0.3  # a third of a standard deviation of data comes through otherwise


def test_a_noise_predicting_student_trains_and_keeps_its_own_alpha() -> None:
    objective = plain_add("noise")
    x_s = torch.ones(1, 1, 4, 4)
    s = torch.tensor([999])
    x0 = objective.student.x0(x_s, s, latent_batch(1)["condition"].null())
    alpha, sigma = PLAIN.at(s, x_s)
    assert torch.allclose(x0, (x_s - sigma * (sigma * (x_s - alpha * 0.7))) / alpha, rtol=1e-4)
    with pytest.raises(ValueError, match="noise-predicting student has no x0 at zero terminal SNR"):
        AddObjective(
            denoiser(GaussianUNet(0.7), ZERO_SNR, "epsilon"), objective.teacher, objective.vae, objective.features,
            AddRecipe(),
        )  # fmt: skip


def plain_add(terminal_input: Any) -> AddObjective:
    student, teacher = (denoiser(GaussianUNet(0.7, PLAIN, "epsilon"), PLAIN, "epsilon") for _ in range(2))
    vae: Any = PixelVae()
    features = FrozenFeatures(make_eye(), SMALL.depths)
    return AddObjective(student, teacher, vae, features, AddRecipe(terminal_input=terminal_input))


def test_with_zero_terminal_snr_both_readings_are_one() -> None:
    x0, eps, s = torch.full((1, 1, 4, 4), 5.0), torch.ones(1, 1, 4, 4), torch.tensor([999])
    noise, leaking = AddRecipe(terminal_input="noise"), AddRecipe(terminal_input="schedule")
    assert torch.equal(student_input(ZERO_SNR, noise, x0, eps, s), student_input(ZERO_SNR, leaking, x0, eps, s))


def test_a_timestep_beyond_the_schedule_is_refused() -> None:
    with pytest.raises(ValueError, match="timestep 1000 is beyond"):
        gaussian_add(AddRecipe(student_timesteps=(1000, 500)))


def test_all_student_timesteps_are_drawn_alike() -> None:
    n = 4000
    seen = student_timesteps(AddRecipe(), n, draws()).tolist()
    assert sorted(set(seen)) == sorted(AddRecipe().student_timesteps)
    for s in AddRecipe().student_timesteps:
        assert seen.count(s) == pytest.approx(n / 4, abs=5 * (n * 3 / 16) ** 0.5)  # five standard deviations


def test_the_recipe_is_what_the_loop_trains_by() -> None:
    recipe = AddRecipe(student_rate=1e-3, discriminator_rate=5e-3, ema_decay=0.5)
    config = recipe.training(steps=3, batch_size=8, seed=7, checkpoint_every=1)
    assert config.learning_rate == 1e-3
    assert config.learning_rates == {"discriminator": 5e-3}
    assert (config.optimizer, config.optimizers) == ("muon", {"discriminator": "muon"})
    assert (config.betas, config.ema_decay, config.weight_decay) == ((0.0, 0.99), 0.5, 0.0)
    assert (config.steps, config.batch_size, config.seed, config.checkpoint_every) == (3, 8, 7, 1)
    assert isinstance(config, TrainConfig)


def test_two_steps_of_the_loop_move_both_players(add: AddObjective) -> None:
    before = [p.detach().clone() for p in (*add.student.unet.parameters(), *add.discriminator.parameters())]
    config = add.recipe.training(steps=2, batch_size=8, seed=0, warmup_steps=1)
    logs = list(train(add, lambda step: latent_batch(), config))
    assert set(logs[-1].losses) == {
        "student/adversarial", "student/distill", "discriminator/hinge", "discriminator/r1",
    }  # fmt: skip
    after = (*add.student.unet.parameters(), *add.discriminator.parameters())
    assert sum(not torch.equal(a, b) for a, b in zip(before, after, strict=True)) > 0.9 * len(before)


def test_in_the_discriminators_lead_it_alone_learns() -> None:
    objective = make_add(AddRecipe(discriminator_lead=2))
    student, heads = objective.student.unet, objective.discriminator
    config = objective.recipe.training(steps=3, batch_size=8, seed=0, warmup_steps=1)
    moved = []
    before = [[p.detach().clone() for p in network.parameters()] for network in (student, heads)]
    for log in train(objective, lambda step: latent_batch(), config):
        after = [[p.detach().clone() for p in network.parameters()] for network in (student, heads)]
        moved.append(
            [any(not torch.equal(a, b) for a, b in zip(*pair, strict=True)) for pair in zip(before, after, strict=True)]
        )
        assert ("student/distill" in log.losses) == (log.step > 2)
        before = after
    assert moved == [[False, True], [False, True], [True, True]]


def test_after_its_lead_the_discriminator_waits_for_the_student() -> None:
    objective = make_add(AddRecipe(discriminator_lead=1))
    objective.losses("discriminator", latent_batch(), draws())
    objective.after_step(0)
    with pytest.raises(RuntimeError, match="student's losses come first"):
        objective.losses("discriminator", latent_batch(), draws())


def test_a_lead_of_less_than_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="discriminator_lead must be 0 steps or more"):
        AddRecipe(discriminator_lead=-1)
