"""ADD's two players on parts of a batch: what several processes, or micro-batches, compute is what one computes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.suites.shapes.generator.networks import make_unet, make_vae
from bench.suites.shapes.training.eye import EyeSize, make_eye
from methods.add.objective import AddObjective
from methods.add.recipe import AddRecipe
from methods.adversarial.features import FrozenFeatures
from methods.distill.compute import Compute, rows_of
from methods.distill.draws import Draws, Share
from methods.distill.loop import step_generator
from tests.training.tiny_add import denoiser, latent_batch

BATCH = 4
Gradients = dict[str, Tensor]


def add(dtype: torch.dtype) -> AddObjective:
    torch.manual_seed(0)
    teacher, vae = make_unet((16, 32)).requires_grad_(False), make_vae().requires_grad_(False)
    student = copy.deepcopy(teacher).requires_grad_(True)
    eye = EyeSize(width=32, layers=4, heads=2)
    features = FrozenFeatures(make_eye(eye), eye.depths)
    for network in (student, teacher, vae, features):
        network.to(dtype)
    objective = AddObjective(denoiser(student), denoiser(teacher), vae, features, AddRecipe(head_norm="none"))
    objective.discriminator.to(dtype)
    return objective


def batch_in(dtype: torch.dtype) -> dict[str, Any]:
    batch = latent_batch(BATCH)
    parts = (batch["condition"].embeds, batch["condition"].pooled, batch["condition"].time_ids)
    return {
        "latents": batch["latents"].to(dtype),
        "pixels": batch["pixels"].to(dtype),
        "condition": type(batch["condition"])(*(part.to(dtype) for part in parts)),
    }


def gradients(objective: AddObjective, batch: Any, draws: Draws) -> Gradients:
    """Of both players, in one vector each, no step being taken between them."""
    found: Gradients = {}
    for name, network in objective.trained.items():
        network.zero_grad(set_to_none=True)
        torch.stack(list(objective.losses(name, batch, draws).values())).sum().backward()  # type: ignore[no-untyped-call]
        found[name] = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
    return found


def alone(dtype: torch.dtype) -> Gradients:
    return gradients(add(dtype), batch_in(dtype), Draws(step_generator(0, 0)))


def by_processes(dtype: torch.dtype, own_noise: bool = False) -> Gradients:
    """The mean over two processes, each with networks of its own."""
    found = []
    for rank in range(2):
        share = Share(rank, 2)
        draws = Draws(step_generator(0, 0), Share(0, 2) if own_noise else share)
        found.append(gradients(add(dtype), rows_of(batch_in(dtype), share), draws))
    return {name: (found[0][name] + found[1][name]) / 2 for name in found[0]}


def by_parts(objective: AddObjective, dtype: torch.dtype = torch.float64) -> Gradients:
    """The mean over two micro-batches, which share the networks, as the loop asks for them: a player at a time."""
    parts = Compute(accumulation=2).parts(objective, batch_in(dtype), Draws(step_generator(0, 0)))
    found: Gradients = {}
    for name, network in objective.trained.items():
        network.zero_grad(set_to_none=True)
        for own, rows, draws in parts:
            loss = torch.stack(list(own.losses(name, rows, draws).values())).sum() / 2
            loss.backward()  # type: ignore[no-untyped-call]
        found[name] = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
    return found


def difference(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


def differences(found: Gradients, expected: Gradients) -> dict[str, float]:
    return {name: difference(found[name], expected[name]) for name in expected}


@pytest.fixture(scope="module")
def expected() -> Gradients:
    return alone(torch.float64)


def test_two_processes_give_the_gradients_of_one(expected: Gradients) -> None:
    found = differences(by_processes(torch.float64), expected)
    assert max(found.values()) < 1e-9, found


def test_also_in_float32() -> None:
    found = differences(by_processes(torch.float32), alone(torch.float32))
    assert max(found.values()) < 1e-5, found


def test_noise_that_belongs_to_a_process_is_noticed(expected: Gradients) -> None:
    found = differences(by_processes(torch.float64, own_noise=True), expected)
    assert min(found.values()) > 0.01, found


def test_each_micro_batch_keeps_its_own_sample_between_the_players() -> None:
    """With spectral norms that no pass refines, micro-batches are exact."""
    whole, parts = (add(torch.float64) for _ in range(2))
    for objective in (whole, parts):
        objective.discriminator.eval()
    exact = gradients(whole, batch_in(torch.float64), Draws(step_generator(0, 0)))
    found = differences(by_parts(parts), exact)
    assert max(found.values()) < 1e-9, found


def test_with_spectral_norms_in_training_micro_batches_are_close(expected: Gradients) -> None:
    """Each pass refines them a little further; at random weights, far from the end, this is most."""
    found = differences(by_parts(add(torch.float64)), expected)
    assert 1e-6 < max(found.values()) < 0.05, found


def test_micro_batches_without_a_state_of_their_own_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One objective for all: the second one's sample takes the place of the first one's."""
    objective = add(torch.float64)
    monkeypatch.setattr(copy, "copy", lambda value: value)
    with pytest.raises(RuntimeError, match="the student's losses come first"):
        by_parts(objective)
