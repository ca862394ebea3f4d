"""Predictions turn into each other without loss, and the impossible one is refused."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods.diffusion.prediction import target, to_eps, to_v, to_x0, velocity
from methods.diffusion.schedule import Schedule

TYPES = ("epsilon", "sample", "v_prediction")
SCHEDULE = Schedule.from_scheduler_config(
    {
        "num_train_timesteps": 1000,
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "rescale_betas_zero_snr": True,
    }
)


def _noised(timesteps: list[int], seed: int = 0) -> tuple[torch.Tensor, ...]:
    shape = (len(timesteps), 2, 3, 3)
    x0, eps = torch.randn(2, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    alpha, sigma = SCHEDULE.at(torch.tensor(timesteps), x0)
    return x0, eps, alpha * x0 + sigma * eps, alpha, sigma


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 998), min_size=1, max_size=4), st.integers(0, 2**31))
def test_every_type_gives_back_x0_eps_and_v(timesteps: list[int], seed: int) -> None:
    x0, eps, x_t, alpha, sigma = _noised(timesteps, seed)
    for kind in TYPES:
        output = target(kind, x0, eps, alpha, sigma)
        # 1 / alpha and 1 / sigma reach 700 here, times the 1e-16 of float64
        assert torch.allclose(to_x0(kind, output, x_t, alpha, sigma), x0, atol=1e-9)
        assert torch.allclose(to_eps(kind, output, x_t, alpha, sigma), eps, atol=1e-9)
        assert torch.allclose(to_v(kind, output, x_t, alpha, sigma), velocity(x0, eps, alpha, sigma), atol=1e-9)


def test_the_types_are_not_the_same_thing() -> None:
    x0, eps, x_t, alpha, sigma = _noised([400])
    v = target("v_prediction", x0, eps, alpha, sigma)
    assert not torch.allclose(to_x0("sample", v, x_t, alpha, sigma), x0, atol=0.1)
    assert not torch.allclose(to_x0("epsilon", v, x_t, alpha, sigma), x0, atol=0.1)


def test_velocity_at_pure_noise_is_minus_x0() -> None:
    x0, eps, x_t, alpha, sigma = _noised([999])
    assert torch.equal(target("v_prediction", x0, eps, alpha, sigma), -x0)
    assert torch.equal(to_x0("v_prediction", -x0, x_t, alpha, sigma), x0)


def test_noise_prediction_at_zero_terminal_snr_is_refused_with_the_fix() -> None:
    _x0, eps, x_t, alpha, sigma = _noised([10, 999])
    with pytest.raises(ValueError, match=r"zero terminal SNR.*v_prediction"):
        to_x0("epsilon", eps, x_t, alpha, sigma)
    assert to_x0("epsilon", eps[:1], x_t[:1], alpha[:1], sigma[:1]).isfinite().all()


def test_sample_prediction_without_noise_has_no_eps() -> None:
    x0 = torch.ones(1, 1, 1, 1)
    alpha, sigma = SCHEDULE.at(-1, x0)
    with pytest.raises(ValueError, match="sigma is 0"):
        to_eps("sample", x0, x0, alpha, sigma)


@pytest.mark.parametrize("function", [to_x0, to_eps, to_v, target])
def test_an_unknown_type_is_named(function: object) -> None:
    one = torch.ones(1)
    with pytest.raises(ValueError, match="'noise' is not one of"):
        function("noise", one, one, one, one)  # type: ignore[operator]
