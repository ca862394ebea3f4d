"""Data-parallel training: every process has its share of the batch, and the gradients are averaged.

Under a launcher (`torchrun`, `accelerate launch`) the processes find each other through its environment variables;
without one there is one process and nothing here does anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from methods.distill.draws import Share

_PATIENCE = timedelta(days=1)  # the others wait while the first samples a grid or trains what only one can


@contextmanager
def process_group() -> Iterator[Share]:
    """Join the launcher's processes for the length of a `with`; this process's share of every batch."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield current_share()
        return
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=_PATIENCE)
    try:
        yield current_share()
    finally:
        dist.destroy_process_group()


def current_share() -> Share:
    """The share of this process: everything, where it is the only one."""
    return Share(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else Share()


def wait_for_all() -> None:
    """Return once every process has come here."""
    if dist.is_initialized():
        dist.barrier()


@torch.no_grad()
def average_gradients(network: nn.Module, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Average the gradients of `network` over the processes, in place; the loss terms averaged likewise."""
    values = {name: term.detach() for name, term in terms.items()}
    if not dist.is_initialized():
        return values
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    sent = [*gradients, *values.values()]
    flat = torch.cat([tensor.reshape(-1).float() for tensor in sent])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    parts = torch.split(flat, [tensor.numel() for tensor in sent])
    for gradient, part in zip(gradients, parts, strict=False):
        gradient.copy_(part.view_as(gradient))
    return dict(zip(values, (part.reshape(()) for part in parts[len(gradients) :]), strict=True))
