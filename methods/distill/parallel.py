"""Data-parallel training: every process has its share of the batch, and the gradients are averaged.

Under a launcher (`torchrun`, `accelerate launch`) the processes find each other through its environment variables;
without one there is one process and nothing here does anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from methods.distill.draws import Share

_PATIENCE = timedelta(days=1)  # the others wait while the first samples a grid or trains what only one can
_BUCKET = 2**26  # numbers sent at a time


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
    values = {name: term.detach().clone() for name, term in terms.items()}
    if not dist.is_initialized():
        return values
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    sent = [*gradients, *values.values()]
    for bucket in _buckets(sent):
        flat = torch.cat([tensor.reshape(-1).float() for tensor in bucket])
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
        for tensor, part in zip(bucket, torch.split(flat, [tensor.numel() for tensor in bucket]), strict=True):
            tensor.copy_(part.view_as(tensor))
    return values


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """`tensors` in order, in lists of at most `_BUCKET` numbers or of one tensor: what is copied at a time."""
    bucket: list[Tensor] = []
    filled = 0
    for tensor in tensors:
        if bucket and filled + tensor.numel() > _BUCKET:
            yield bucket
            bucket, filled = [], 0
        bucket.append(tensor)
        filled += tensor.numel()
    yield bucket
