"""Exponential moving averages of weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


@torch.no_grad()
def update_ema(average: nn.Module, network: nn.Module, decay: float) -> None:
    """`average <- decay * average + (1 - decay) * network`; buffers are copied."""
    averaged: list[Tensor] = list(average.parameters())
    torch._foreach_lerp_(averaged, list(network.parameters()), 1 - decay)
    for mine, theirs in zip(average.buffers(), network.buffers(), strict=True):
        mine.copy_(theirs)


def frozen_copy(network: nn.Module) -> nn.Module:
    """A copy in eval mode that takes no gradient."""
    return copy.deepcopy(network).eval().requires_grad_(False)


def warm_decay(decay: float, step: int) -> float:
    """min(decay, (1 + step) / (10 + step)): smaller at first, so that the random start is forgotten."""
    return min(decay, (1 + step) / (10 + step))
