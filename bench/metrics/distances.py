"""Distances between two sets of features, by name: Frechet and kernel distances, and the statistics they rest on.

Every distance here compares generated features with a *fixed* reference set. Pseudo-values are one number a generated
image, whose mean is the distance and whose spread is its uncertainty, so a distance is treated like any mean: an
interval from the spread, and paired differences between two methods that drew the same prompts and seeds.

What an interval covers: the expected value of the distance *at this n* and against *this* reference, over generated
images drawn anew. It does not cover the limit of infinitely many images, which for the Frechet distance lies lower (its
bias is positive and falls as 1/n), so Frechet distances are compared at the same n only; `frechet_infinity` estimates
that limit.
"""

from __future__ import annotations

from bench.metrics.frechet_distance import (
    frechet_distance,
    frechet_infinity,
    frechet_interval,
    frechet_pseudo_values,
)
from bench.metrics.kernel_distance import (
    GaussianKernel,
    cmmd_pseudo_values,
    kernel_pseudo_values,
    mean_self_kernel,
    polynomial_kernel,
)
from bench.metrics.moments import Gaussian, Moments, checked_features, gaussian

__all__ = [
    "Gaussian",
    "GaussianKernel",
    "Moments",
    "checked_features",
    "cmmd_pseudo_values",
    "frechet_distance",
    "frechet_infinity",
    "frechet_interval",
    "frechet_pseudo_values",
    "gaussian",
    "kernel_pseudo_values",
    "mean_self_kernel",
    "polynomial_kernel",
]
