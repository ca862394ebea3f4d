"""The schedule and the DDIM step against diffusers' own."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDIMScheduler

from methods.diffusion.ddim import ddim_step
from methods.diffusion.prediction import to_eps, to_x0
from methods.diffusion.schedule import CLEAN, Schedule, rescale_to_zero_terminal_snr

SHAPES = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "rescale_betas_zero_snr": True,
}
# diffusers multiplies 1,000 float32 factors, each rounded to 6e-8: at most about 6e-5 in the product
FLOAT32_PRODUCT = 1e-4


@pytest.mark.parametrize("zero_snr", [True, False])
@pytest.mark.parametrize("kind", ["scaled_linear", "linear"])
def test_alpha_is_that_of_diffusers(kind: str, zero_snr: bool) -> None:
    config = {**SHAPES, "beta_schedule": kind, "rescale_betas_zero_snr": zero_snr}
    schedule = Schedule.from_scheduler_config(config)
    theirs = DDIMScheduler(**config).alphas_cumprod.double()
    assert (schedule.alpha**2 - theirs).abs().max() < FLOAT32_PRODUCT
    assert schedule.zero_terminal_snr is zero_snr


def test_the_comparison_notices_another_schedule() -> None:
    schedule = Schedule.from_scheduler_config({**SHAPES, "beta_end": 0.0121})
    theirs = DDIMScheduler(**SHAPES).alphas_cumprod.double()
    assert (schedule.alpha**2 - theirs).abs().max() > FLOAT32_PRODUCT


def test_alpha_and_sigma_lie_on_the_circle_and_noise_only_grows() -> None:
    schedule = Schedule.from_scheduler_config(SHAPES)
    assert torch.allclose(schedule.alpha**2 + schedule.sigma**2, torch.ones(1000, dtype=torch.float64), atol=1e-15)
    assert (schedule.sigma.diff() > 0).all()
    assert schedule.alpha[-1] == 0
    assert schedule.sigma[-1] == 1


def test_rescaling_keeps_the_first_value_and_zeroes_the_last() -> None:
    before = Schedule.from_scheduler_config({**SHAPES, "rescale_betas_zero_snr": False}).alpha
    after = rescale_to_zero_terminal_snr(before)
    assert after[0] == pytest.approx(before[0].item(), rel=1e-15)
    assert after[-1] == 0
    assert before[-1] > 0


def test_explicit_betas_are_taken_as_they_are() -> None:
    schedule = Schedule.from_scheduler_config({"trained_betas": [0.1, 0.5], "beta_schedule": "linear"})
    assert torch.allclose(schedule.alpha**2, torch.tensor([0.9, 0.45], dtype=torch.float64))


def test_an_unknown_beta_schedule_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"squaredcos_cap_v2.*scaled_linear"):
        Schedule.from_scheduler_config({**SHAPES, "beta_schedule": "squaredcos_cap_v2"})


def test_each_image_has_its_own_timestep() -> None:
    schedule = Schedule.from_scheduler_config(SHAPES)
    latents = torch.zeros(3, 8, 2, 2)
    alpha, sigma = schedule.at(torch.tensor([0, 500, 999]), latents)
    assert alpha.shape == sigma.shape == (3, 1, 1, 1)
    assert alpha.dtype == torch.float32
    for row, t in enumerate((0, 500, 999)):
        assert alpha[row].item() == pytest.approx(schedule.alpha[t].item())
        assert schedule.at(t, latents)[1].item() == pytest.approx(sigma[row].item())


def test_minus_one_is_clean_and_never_the_last_element() -> None:
    schedule = Schedule.from_scheduler_config(SHAPES)
    x0, eps = torch.randn(2, 2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(schedule.add_noise(x0, eps, CLEAN), x0)
    assert torch.equal(schedule.add_noise(x0, eps, 999), eps)


@pytest.mark.parametrize("bad", [-2, 1000])
def test_timesteps_outside_the_schedule_are_refused(bad: int) -> None:
    with pytest.raises(IndexError, match="timesteps must lie in"):
        Schedule.from_scheduler_config(SHAPES).at(torch.tensor([3, bad]), torch.zeros(2, 1))


def test_a_fraction_is_not_a_timestep() -> None:
    with pytest.raises(TypeError, match="integers"):
        Schedule.from_scheduler_config(SHAPES).at(torch.tensor([0.5]), torch.zeros(1, 1))


@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("zero_snr", [True, False])
def test_ddim_step_is_that_of_diffusers(prediction_type: str, zero_snr: bool) -> None:
    config = {**SHAPES, "rescale_betas_zero_snr": zero_snr}
    schedule = Schedule.from_scheduler_config(config)
    theirs = DDIMScheduler(**config, prediction_type=prediction_type, clip_sample=False, timestep_spacing="trailing")
    theirs.set_timesteps(4)
    rng = torch.Generator().manual_seed(1)
    x_t, output = torch.randn(2, 3, 8, 4, 4, generator=rng, dtype=torch.float64)
    for timestep in theirs.timesteps.tolist():
        if prediction_type == "epsilon" and schedule.alpha[timestep] == 0:
            continue  # x0 does not exist there
        alpha, sigma = schedule.at(timestep, x_t)
        x0 = to_x0(prediction_type, output, x_t, alpha, sigma)
        eps = to_eps(prediction_type, output, x_t, alpha, sigma)
        ours = ddim_step(schedule, x0, eps, timestep - 250)
        expected = theirs.step(output, timestep, x_t).prev_sample
        assert torch.allclose(ours, expected, atol=20 * FLOAT32_PRODUCT)
        elsewhere = ddim_step(schedule, x0, eps, max(timestep - 200, CLEAN)) if timestep > 249 else x_t
        assert not torch.allclose(elsewhere, expected, atol=20 * FLOAT32_PRODUCT)


def test_ddim_goes_to_another_timestep_for_each_image() -> None:
    schedule = Schedule.from_scheduler_config(SHAPES)
    x0, eps = torch.randn(2, 2, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    both = ddim_step(schedule, x0, eps, torch.tensor([19, CLEAN]))
    assert torch.equal(both[1], x0[1])
    assert torch.equal(both[0], ddim_step(schedule, x0[:1], eps[:1], 19)[0])
