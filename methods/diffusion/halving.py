"""Two DDIM steps in one: what a student of half the steps is to predict, and how its error is weighted.

Salimans and Ho, "Progressive Distillation for Fast Sampling of Diffusion Models", arXiv 2202.00512, sections 3 and 4.

paper            here
x-tilde          a mean of the teacher's two x0, the share of the first being `first_share`
w(lambda_t)      loss_weight
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from methods.diffusion.schedule import Schedule

Weighting = Literal["snr+1", "truncated-snr"]


def first_share(schedule: Schedule, start: Tensor, middle: Tensor, end: Tensor, like: Tensor) -> Tensor:
    """How much of the target is the x0 of the first teacher step; the rest is that of the second. In 0..1.

    The target solves `x_end = alpha_end x0 + sigma_end (x_t - alpha_t x0) / sigma_t` for x0, x_end being where the two
    steps land. Written out, x_t drops out, and what is left is a mean of the teacher's two x0. So nothing is subtracted
    that is nearly equal, and neither noise alone (alpha_t = 0) nor the clean end (sigma_end = 0) is a special case.

    Returns:
        Like `schedule.at`: (N, 1, ..., 1), in the dtype of `like` (N, ...); computed in float64.
    """
    wide = like.new_empty((len(like), *[1] * (like.ndim - 1)), dtype=torch.float64)
    (a_start, s_start), (a_middle, s_middle), (a_end, s_end) = (schedule.at(t, wide) for t in (start, middle, end))
    first = s_end / s_middle * (a_middle - s_middle / s_start * a_start)
    return (first / (a_end - s_end / s_start * a_start)).to(like.dtype)


def loss_weight(weighting: str, alpha: Tensor, sigma: Tensor) -> Tensor:
    """The weight of the squared error in x0, where SNR is `alpha^2 / sigma^2`; 1 for both at zero SNR.

    "snr+1" is `1 / sigma^2` and makes it the squared error in v. "truncated-snr" is max(SNR, 1): the larger of the
    squared errors in x0 and in eps.

    Raises:
        ValueError: for another weighting.
    """
    match weighting:
        case "snr+1":
            return 1 / sigma.square()
        case "truncated-snr":
            return (alpha / sigma).square().clamp_min(1)
    raise ValueError(f"weighting {weighting!r} is not one of 'snr+1', 'truncated-snr'")
