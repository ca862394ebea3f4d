"""InstaFlow on Gaussians, where the teacher's pairs, their straight flow and its one step are known exactly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from rich.console import Console
from torch import Tensor, nn

from bench.suites.shapes.training.students import pairs
from bench.suites.shapes.training.students.pairs import PairBatches, PairFolder, pair_noise
from bench.training.workshop import Workshop
from methods.diffusion.flow import flow_sigma, flow_velocity, flow_x0, interpolate
from methods.diffusion.timesteps import trailing_timesteps
from methods.distill.denoiser import Condition
from methods.distill.draws import Draws
from methods.distill.loop import TrainConfig, step_generator, train
from methods.distill.objective import Batch
from methods.instaflow import InstaFlow
from methods.instaflow.objective import (
    Flow,
    FlowDistillationObjective,
    InstaFlowRecipe,
    ReflowObjective,
    flow_images,
    teacher_images,
)
from tests.training.gaussian import (
    CLEAN,
    CONFIG,
    MEAN,
    NULL_MEAN,
    SHAPE,
    GaussianUNet,
    composed,
    condition,
    denoiser,
)

STEPS, GUIDANCE = 10, 2.0
GUIDED_MEAN = NULL_MEAN + GUIDANCE * (MEAN - NULL_MEAN)
GAIN, OFFSET = composed((*trailing_timesteps(STEPS), CLEAN), GUIDED_MEAN)
"""The guided teacher's map from noise to image, in closed form: every coordinate is affine."""

RECIPE = InstaFlowRecipe(pairs=64, teacher_steps=STEPS, guidance_scale=GUIDANCE)


class StraightUNet(nn.Module):
    """The velocity of the pairs (eps, gain eps + offset), whose lines never cross: eps is told by where one is."""

    def __init__(self, gain: Tensor, offset: Tensor) -> None:
        super().__init__()
        self.gain, self.offset = nn.Parameter(gain.clone()), nn.Parameter(offset.clone())

    def forward(self, x_t: Tensor, timesteps: Tensor, **_: Any) -> Any:
        sigma = flow_sigma(timesteps, 1000, x_t)
        gain, offset = self.gain.to(x_t.dtype), self.offset.to(x_t.dtype)
        eps = (x_t - (1 - sigma) * offset) / ((1 - sigma) * gain + sigma)
        return type("Output", (), {"sample": (1 - gain) * eps - offset})()


class IndependentUNet(nn.Module):
    """The velocity of noise and images that were not paired: what a flow is before it is reflowed."""

    def forward(self, x_t: Tensor, timesteps: Tensor, **_: Any) -> Any:
        sigma = flow_sigma(timesteps, 1000, x_t)
        away = (x_t - (1 - sigma) * OFFSET) / ((1 - sigma) ** 2 * GAIN**2 + sigma**2)
        return type("Output", (), {"sample": sigma * away - (OFFSET + (1 - sigma) * GAIN**2 * away)})()


def noise(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def flow(unet: Any = None) -> Flow:
    return Flow(StraightUNet(GAIN, OFFSET) if unet is None else unet, 1000)


def batch(n: int, seed: int = 0) -> Batch:
    """Pairs of the guided teacher itself."""
    eps = noise(n, seed)
    made = teacher_images(denoiser(GaussianUNet()), eps, condition(n), STEPS, GUIDANCE)
    return {"noise": eps, "latents": made, "condition": condition(n)}


def draws() -> Draws:
    return Draws(step_generator(0, 0))


def test_a_pair_is_the_guided_teachers_ddim() -> None:
    found = batch(16)
    assert torch.allclose(found["latents"], GAIN * found["noise"] + OFFSET, atol=1e-9)
    unguided = teacher_images(denoiser(GaussianUNet()), found["noise"], condition(16), STEPS, 1.0)
    assert not torch.allclose(unguided, found["latents"], atol=0.1)
    scheduler = DDIMScheduler.from_config(CONFIG, clip_sample=False)
    scheduler.set_timesteps(STEPS)
    x = found["noise"]
    for t in scheduler.timesteps:
        output = denoiser(GaussianUNet()).guided_output(x, t.expand(16), condition(16), GUIDANCE)
        x = scheduler.step(output, t, x).prev_sample
    assert torch.allclose(found["latents"], x, atol=1e-3)  # stock alphas are float32


def test_the_straight_flow_is_where_the_reflow_has_no_loss() -> None:
    exact = ReflowObjective(flow()).losses("student", batch(64), draws())["flow"].detach()
    assert float(exact) < 1e-18
    before = ReflowObjective(flow(IndependentUNet())).losses("student", batch(64), draws())["flow"]
    assert float(before) > 0.1


def test_one_step_of_the_reflowed_is_many_steps_and_of_the_flow_before_it_is_the_mean() -> None:
    """What a reflow is for. The stock sampler starts at sigma 0.999 with noise alone: an error of a thousandth."""
    found = batch(512)
    eps, given = found["noise"], found["condition"]
    assert torch.allclose(flow().one_step(eps, given), found["latents"], atol=0.02)
    assert torch.allclose(flow_images(flow(), eps, given, 8), found["latents"], atol=0.02)
    curved = flow(IndependentUNet())
    collapsed, many = curved.one_step(eps, given), flow_images(curved, eps, given, 100)
    assert torch.allclose(collapsed, OFFSET.expand_as(eps), atol=0.02)
    assert torch.allclose(many.std(dim=0), found["latents"].std(dim=0), rtol=0.1)


@pytest.mark.parametrize("steps", [1, 2, 8])
def test_the_stock_sampler_takes_the_same_steps(steps: int) -> None:
    recipe = InstaFlow.default_recipe
    scheduler = DPMSolverMultistepScheduler.from_config(CONFIG, **recipe.scheduler_config)
    scheduler.set_timesteps(steps)
    assert int(scheduler.timesteps[0]) == 999
    assert float(scheduler.init_noise_sigma) == 1.0
    eps = x = noise(4)
    for t in scheduler.timesteps:
        v = flow(IndependentUNet()).velocity(x, t.expand(4), condition(4))
        x = scheduler.step(v, t, x).prev_sample
    assert torch.allclose(
        x, flow_images(flow(IndependentUNet()), eps, condition(4), steps), atol=1e-5
    )  # float32 sigmas
    if steps == 1:
        assert torch.allclose(x, flow(IndependentUNet()).one_step(eps, condition(4)), atol=1e-5)
        plain = DPMSolverMultistepScheduler.from_config(CONFIG, solver_order=1)
        plain.set_timesteps(1)
        assert not torch.allclose(plain.step(v, plain.timesteps[0], eps).prev_sample, x, atol=0.1)


def test_training_reflows_and_then_distils() -> None:
    """The reflow finds the teacher's map. The distillation repairs a flow that is off."""
    config = TrainConfig(
        steps=200, batch_size=64, learning_rate=0.03, betas=(0.9, 0.95), weight_decay=0.0, ema_decay=None,
        warmup_steps=1, max_grad_norm=1e9,
    )  # fmt: skip
    unet = StraightUNet(GAIN + 0.3, OFFSET - 1.0)
    for _ in train(ReflowObjective(flow(unet)), lambda step: batch(64, step), config):
        pass
    assert torch.allclose(unet.gain.detach(), GAIN, atol=0.02)
    assert torch.allclose(unet.offset.detach(), OFFSET, atol=0.02)
    off = StraightUNet(GAIN + 0.3, OFFSET - 0.5)
    trained = FlowDistillationObjective(flow(off), RECIPE)
    for _ in train(trained, lambda step: batch(64, step), replace(config, steps=100, learning_rate=0.05)):
        pass
    found = batch(64, 10**6)
    assert torch.allclose(flow(off).one_step(found["noise"], found["condition"]), found["latents"], atol=0.02)


@pytest.mark.parametrize("distance", ["l2", "huber"])
def test_the_distance_is_the_named_one_and_reaches_the_student(distance: Any) -> None:
    unet = StraightUNet(GAIN, OFFSET + 1)
    trained = FlowDistillationObjective(flow(unet), replace(RECIPE, distance=distance, huber_c=0.1))
    loss = trained.losses("student", batch(8), draws())["distill"]
    error = flow(unet).one_step(batch(8)["noise"], condition(8)) - batch(8)["latents"]
    wanted = error.square().mean() if distance == "l2" else ((error.square() + 0.01).sqrt() - 0.1).mean()
    assert float(loss.detach()) == pytest.approx(float(wanted.detach()), rel=1e-9)
    loss.backward()  # type: ignore[no-untyped-call]
    assert unet.offset.grad is not None
    assert float(unet.offset.grad.abs().min()) > 0


def test_flow_arithmetic_is_consistent() -> None:
    x0, eps = noise(3), noise(3, 1)
    sigma = flow_sigma(torch.tensor([0, 500, 999]), 1000, x0)
    assert sigma.flatten().tolist() == [0.0, 0.5, 0.999]
    x_t = interpolate(x0, eps, sigma)
    assert torch.equal(x_t[0], x0[0])
    assert torch.allclose(flow_x0(x_t, flow_velocity(x0, eps), sigma), x0)
    with pytest.raises(TypeError, match="integers"):
        flow_sigma(torch.tensor([0.5]), 1000, x0)
    for wrong in ({"pairs": 0}, {"distance": "lpips"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            InstaFlowRecipe(**wrong)  # type: ignore[arg-type]


def conditions(indices: Tensor) -> Condition:
    return condition(len(indices))


def test_pairs_are_computed_once_and_go_on_where_they_were_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairs, "PART", 4)
    monkeypatch.setattr(pairs, "_CHUNK", 3)
    shop = Workshop(tmp_path, Console(quiet=True))
    whole, stopped = PairFolder(tmp_path / "whole", 10), PairFolder(tmp_path / "stopped", 10)
    asked: list[int] = []

    def sampler(eps: Tensor, given: Condition, limit: int = 10**9) -> Tensor:
        asked.append(len(eps))
        if sum(asked) > limit:
            raise KeyboardInterrupt
        return 2 * eps

    whole.write(shop, conditions, sampler)
    assert sum(asked) == 10
    assert torch.equal(whole.latents(), (2 * pair_noise(torch.arange(10))).half())
    assert whole.seconds() > 0
    asked.clear()
    with pytest.raises(KeyboardInterrupt):
        stopped.write(shop, conditions, lambda eps, given: sampler(eps, given, limit=5))
    asked.clear()
    stopped.write(shop, conditions, sampler)
    assert sum(asked) == 6  # the part that was finished is left as it is
    assert torch.equal(stopped.latents(), whole.latents())
    whole.write(shop, conditions, sampler)
    assert sum(asked) == 6  # and a set that is there costs nothing

    read = PairBatches(whole, conditions, 5, seed=3)
    first, second = read(0), read(1)
    both = torch.cat([first["noise"], second["noise"]])
    assert torch.equal(torch.cat([first["latents"], second["latents"]]), (2 * both).half().float())
    assert sorted(both[:, 0, 0, 0].tolist()) == sorted(pair_noise(torch.arange(10))[:, 0, 0, 0].tolist())
    assert torch.equal(pair_noise(torch.tensor([7]))[0], pair_noise(torch.arange(10))[7])
