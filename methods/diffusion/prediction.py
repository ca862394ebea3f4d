"""What a denoiser predicts, and how one prediction becomes another.

Velocity: Salimans and Ho, "Progressive Distillation for Fast Sampling of Diffusion Models", arXiv 2202.00512.

    paper     here
    z_t       x_t
    x         x0
    epsilon   eps
    v         v

Everywhere `x_t = alpha x0 + sigma eps`, `v = alpha eps - sigma x0` and `alpha^2 + sigma^2 = 1`. All tensors are
(N, ...); alpha and sigma broadcast over them, as `Schedule.at` gives them.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

PredictionType = Literal["epsilon", "sample", "v_prediction"]


def to_x0(prediction_type: str, output: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """The clean latents that a denoiser's `output` stands for.

    Raises:
        ValueError: for noise prediction where alpha is zero, since `x_t` then says nothing about `x0`.
    """
    match prediction_type:
        case "epsilon":
            _refuse_zero(alpha, "noise prediction cannot give x0 at zero terminal SNR")
            return (x_t - sigma * output) / alpha
        case "sample":
            return output
        case "v_prediction":
            return alpha * x_t - sigma * output
    raise _unknown(prediction_type)


def to_eps(prediction_type: str, output: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """The noise that a denoiser's `output` stands for.

    Raises:
        ValueError: for sample prediction where sigma is zero, since `x_t` then says nothing about the noise.
    """
    match prediction_type:
        case "epsilon":
            return output
        case "sample":
            if not bool((sigma != 0).all()):
                raise ValueError("sample prediction gives no noise where sigma is 0; use a timestep of 0 or more")
            return (x_t - alpha * output) / sigma
        case "v_prediction":
            return alpha * output + sigma * x_t
    raise _unknown(prediction_type)


def to_v(prediction_type: str, output: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """The velocity that a denoiser's `output` stands for.

    Raises:
        ValueError: where `to_x0` or `to_eps` does.
    """
    if prediction_type == "v_prediction":
        return output
    x0 = to_x0(prediction_type, output, x_t, alpha, sigma)
    return velocity(x0, to_eps(prediction_type, output, x_t, alpha, sigma), alpha, sigma)


def velocity(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """`v = alpha eps - sigma x0`."""
    return alpha * eps - sigma * x0


def target(prediction_type: str, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """What a denoiser of this type is trained to give for `x_t = alpha x0 + sigma eps`."""
    match prediction_type:
        case "epsilon":
            return eps
        case "sample":
            return x0
        case "v_prediction":
            return velocity(x0, eps, alpha, sigma)
    raise _unknown(prediction_type)


def _refuse_zero(alpha: Tensor, reason: str) -> None:
    """Raise ValueError with the fix where any alpha is zero."""
    if not bool((alpha != 0).all()):
        raise ValueError(f"{reason}; use prediction_type 'v_prediction' or 'sample', or another schedule")


def _unknown(prediction_type: str) -> ValueError:
    """The error for a prediction type that is none of the three."""
    return ValueError(f"prediction_type {prediction_type!r} is not one of 'epsilon', 'sample', 'v_prediction'")
