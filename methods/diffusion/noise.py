"""Noise that belongs to an image: one generator an image, on the CPU, so that neither batch nor device changes it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def generators(seeds: Sequence[int]) -> list[torch.Generator]:
    """One CPU generator an image, as stock pipelines take them."""
    return [torch.Generator("cpu").manual_seed(seed) for seed in seeds]


def initial_noise(seeds: Sequence[int], shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Tensor:
    """Standard normal noise (N, *shape), row i from seed i alone: what a stock pipeline starts from.

    Args:
        seeds: One an image.
        shape: Of one image's latents, without the batch: (C, H, W).
        dtype: Of the noise, as the pipeline draws it: that of its text embeddings.

    Raises:
        ValueError: for no seeds at all.
    """
    if not seeds:
        raise ValueError("initial_noise needs at least one seed")
    return torch.cat([torch.randn((1, *shape), generator=rng, dtype=dtype) for rng in generators(seeds)])
