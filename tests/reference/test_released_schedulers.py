"""The schedulers that diffusers lacks, each against its authors' formula written down once more, in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import EulerAncestralDiscreteScheduler

from methods.diffusion.timesteps import piecewise_timesteps
from methods.schedulers.perflow import PeRFlowScheduler
from methods.schedulers.rectified_flow import RectifiedFlowScheduler
from methods.schedulers.turbo import TurboDemoScheduler

BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "num_train_timesteps": 1000}
ALPHAS_CUMPROD = np.cumprod(1.0 - np.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=np.float64) ** 2)
SHAPE = (1, 4, 3, 3)


def noise(seed: int) -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def turbo(**changes: Any) -> TurboDemoScheduler:
    return TurboDemoScheduler.from_config({**BETAS, "prediction_type": "epsilon", **changes})


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_turbo_timesteps_and_levels_are_the_demos(steps: int) -> None:
    scheduler = turbo()
    scheduler.set_timesteps(steps)
    assert scheduler.timesteps.tolist() == [999.0, 899.0, 799.0, 699.0][:steps]
    descending = np.sqrt((1 - ALPHAS_CUMPROD) / ALPHAS_CUMPROD)[::-1]
    expected = [*(descending[place] for place in (0, 100, 200, 300)[:steps]), 0.0]
    assert scheduler.sigmas.numpy() == pytest.approx(np.array(expected), rel=2e-5)  # a product of 1,000 in float32
    assert float(scheduler.init_noise_sigma) == pytest.approx(math.sqrt(1 + descending[0] ** 2), rel=2e-5)


def test_turbo_steps_are_ancestral_euler_on_those_levels() -> None:
    scheduler = turbo()
    scheduler.set_timesteps(4)
    sigmas = scheduler.sigmas.double().numpy()
    x = noise(0) * scheduler.init_noise_sigma
    reference = x.double()
    theirs = torch.Generator().manual_seed(9)
    ours = torch.Generator().manual_seed(9)
    for i, t in enumerate(scheduler.timesteps):
        scaled = scheduler.scale_model_input(x, t)
        assert torch.allclose(scaled.double(), reference / math.sqrt(sigmas[i] ** 2 + 1), atol=1e-4)
        eps = torch.tanh(scaled)  # any function of what the network sees
        x = scheduler.step(eps, t, x, generator=ours).prev_sample
        high, low = sigmas[i], sigmas[i + 1]
        up = min(low, math.sqrt(low**2 * (high**2 - low**2) / high**2))
        down = math.sqrt(low**2 - up**2)
        fresh = torch.randn(SHAPE, generator=theirs).double()
        reference = reference + (down - high) * eps.double() + (fresh * up if low > 0 else 0.0)
    assert torch.allclose(x.double(), reference, atol=2e-4)  # values up to 14 in float32


def test_turbo_is_not_diffusers_trailing_spacing() -> None:
    stock = EulerAncestralDiscreteScheduler.from_config({**BETAS, "timestep_spacing": "trailing"})
    stock.set_timesteps(4)
    ours = turbo()
    ours.set_timesteps(4)
    assert stock.timesteps.tolist() == [999.0, 749.0, 499.0, 249.0] != ours.timesteps.tolist()
    assert float(stock.init_noise_sigma) != float(ours.init_noise_sigma)


@pytest.mark.parametrize("steps", [0, 5])
def test_turbo_has_one_to_four_steps(steps: int) -> None:
    with pytest.raises(ValueError, match="1 to 4 steps"):
        turbo().set_timesteps(steps)


@pytest.mark.parametrize("steps", [1, 2, 3, 25])
def test_rectified_flow_goes_in_equal_parts_from_1000_on(steps: int) -> None:
    scheduler = RectifiedFlowScheduler.from_config(BETAS)
    scheduler.set_timesteps(steps)
    assert scheduler.timesteps.tolist() == pytest.approx([(1 - i / steps) * 1000 for i in range(steps)])
    x = noise(0)
    reference = x.double() * scheduler.init_noise_sigma
    assert scheduler.init_noise_sigma == 1.0
    for t in scheduler.timesteps:
        v = torch.sin(scheduler.scale_model_input(x, t)) * float(t) / 1000
        x = scheduler.step(v, t, x).prev_sample
        reference = reference + v.double() / steps
    assert torch.allclose(x.double(), reference, atol=1e-5)


def test_rectified_flow_of_a_straight_flow_is_exact_in_one_step() -> None:
    image, start = noise(1), noise(2)
    scheduler = RectifiedFlowScheduler()
    scheduler.set_timesteps(1)
    (reached,) = scheduler.step(image - start, scheduler.timesteps[0], start, return_dict=False)
    assert torch.allclose(reached, image, atol=1e-6)


def perflow_reference(
    prediction: str, x: np.ndarray, eps: np.ndarray, now: float, then: float, windows: int
) -> np.ndarray:
    """One step as the authors' `PeRFlowScheduler.step` has it, in their symbols."""
    edges = [i / windows for i in range(windows, -1, -1)]
    k = next(k for k in range(windows) if now > edges[k + 1] + 1e-9)
    t_s, t_e, t_c = edges[k], edges[k + 1], now
    alpha_s = ALPHAS_CUMPROD[int(t_s * 1000 - 1)]
    alpha_e = ALPHAS_CUMPROD[max(int(t_e * 1000 - 1), 0)]
    if prediction == "velocity":
        return x + (then - now) * eps
    if prediction == "ddim_eps":
        lambda_s = (alpha_e / alpha_s) ** 0.5
        eta_s = (1 - alpha_e) ** 0.5 - (alpha_e / alpha_s * (1 - alpha_s)) ** 0.5
    else:
        gamma = (alpha_s / alpha_e) ** 0.5
        lambda_s, eta_s = 1 / gamma, -((1 - gamma**2) ** 0.5) / gamma
    denominator = lambda_s * (t_c - t_s) + (t_e - t_c)
    lambda_t, eta_t = lambda_s * (t_e - t_s) / denominator, eta_s * (t_e - t_c) / denominator
    velocity = (lambda_t * x + eta_t * eps - x) / (t_e - (t_s + (t_c - t_s)))
    return x + (then - now) * velocity


@pytest.mark.parametrize("prediction", ["ddim_eps", "diff_eps", "velocity"])
@pytest.mark.parametrize("steps", [4, 6, 8])
def test_perflow_steps_are_the_authors(prediction: str, steps: int) -> None:
    scheduler = PeRFlowScheduler.from_config(
        {**BETAS, "steps_offset": 1}, prediction_type=prediction, num_time_windows=4
    )
    scheduler.set_timesteps(steps)
    x = noise(0)
    reference = x.double().numpy()
    times = [int(t) / 1000 for t in scheduler.timesteps] + [0.0]
    for i, t in enumerate(scheduler.timesteps):
        eps = torch.tanh(2 * x)
        x = scheduler.step(eps, t, x).prev_sample
        reference = perflow_reference(prediction, reference, eps.double().numpy(), times[i], times[i + 1], 4)
    assert x.double().numpy() == pytest.approx(reference, abs=2e-4)  # the noisiest levels in float32


def test_perflow_of_exact_noise_ends_each_window_where_ddim_does() -> None:
    """At a window's start the network's noise carries the latents along the diffusion to the window's end."""
    scheduler = PeRFlowScheduler(prediction_type="ddim_eps")
    scheduler.set_timesteps(4)
    x0, eps = noise(3).double(), noise(4).double()
    start, end = ALPHAS_CUMPROD[749], ALPHAS_CUMPROD[499]
    at_start = (start**0.5 * x0 + (1 - start) ** 0.5 * eps).float()
    at_end = end**0.5 * x0 + (1 - end) ** 0.5 * eps
    moved = scheduler.step(eps.float(), scheduler.timesteps[1], at_start).prev_sample
    assert torch.allclose(moved.double(), at_end, atol=1e-4)
    wrong = PeRFlowScheduler(prediction_type="diff_eps")
    wrong.set_timesteps(4)
    other = wrong.step(eps.float(), wrong.timesteps[1], at_start).prev_sample
    assert not torch.allclose(other.double(), at_end, atol=1e-2)


def test_perflow_timesteps_are_the_authors_for_every_count() -> None:
    for windows in (2, 4):
        for steps in range(windows, 51):
            expected: list[int] = []
            for i in range(windows):
                count = steps // windows + (1 if i < steps % windows else 0)
                edges = [1.0 * k / windows for k in range(windows, -1, -1)]
                grid = np.linspace(edges[i], edges[i + 1], num=count, endpoint=False)
                expected += (grid * 1000).astype(np.int64).tolist()
            assert list(piecewise_timesteps(steps, windows)) == expected, (windows, steps)
    assert piecewise_timesteps(4) == (1000, 750, 500, 250)
    assert piecewise_timesteps(6) == (1000, 875, 750, 625, 500, 250)


def test_perflow_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match="a step in each of its 4 windows, got 3"):
        PeRFlowScheduler().set_timesteps(3)
    with pytest.raises(ValueError, match="prediction_type must be one of"):
        PeRFlowScheduler(prediction_type="epsilon")
