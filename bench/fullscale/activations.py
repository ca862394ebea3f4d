"""What autograd keeps for a backward pass, found by running the forward pass on the meta device: shapes, no numbers.

Attention is counted as its fused kernels keep it (inputs, output, one number a row), and mixed precision as autocast
does it on a GPU: products and convolutions in the network's dtype, normalisations in float32. What kernels use while
they run is not counted, nor what an allocator leaves unused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.overrides import TorchFunctionMode

_PRODUCTS: dict[Any, Callable[..., Tensor]] = {F.linear: F.linear, torch.conv2d: F.conv2d, F.conv2d: F.conv2d}
_NORMALISATIONS = (F.group_norm, F.layer_norm)


@dataclass(frozen=True)
class Activations:
    """Bytes for one image: `kept` from the forward to the backward pass, `recomputed` at most at a time besides."""

    kept: int
    recomputed: int = 0


def activations(network: Any, forward: Callable[[], Any], *, checkpointed: bool) -> Activations:
    """What a forward pass of `network`, on the meta device, leaves for its backward pass.

    Args:
        network: A diffusers model if `checkpointed`, any module otherwise.
        forward: Runs it once, on one image.
        checkpointed: Whether gradient checkpointing keeps its blocks' inputs alone.
    """
    kept = _Kept(network.parameters())
    largest = 0

    def block(module: nn.Module, *inputs: Any) -> Any:
        nonlocal largest
        for tensor in inputs:
            if isinstance(tensor, Tensor):
                kept.add(tensor)
        inside = _Kept(network.parameters(), kept)
        with saved_tensors_hooks(inside.add, _unchanged):
            result = module(*inputs)
        largest = max(largest, inside.size)
        return result

    if checkpointed:
        network.enable_gradient_checkpointing(block)
    with saved_tensors_hooks(kept.add, _unchanged), _AsOnAGpu():
        forward()
    if checkpointed:
        network.disable_gradient_checkpointing()
    return Activations(kept.size, largest)


@dataclass
class _Kept:
    """Storages that are kept, each counted once; parameters and what `outer` has are not counted."""

    parameters: Iterable[Tensor]
    outer: _Kept | None = None
    size: int = 0
    _known: dict[int, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._known = {_storage(parameter): parameter for parameter in self.parameters}
        if self.outer is not None:
            self._known |= self.outer._known

    def add(self, tensor: Tensor) -> Tensor:
        if _storage(tensor) not in self._known:
            self._known[_storage(tensor)] = tensor  # alive, so that no other storage takes its place
            self.size += tensor.untyped_storage().nbytes()
        return tensor


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _unchanged(tensor: Tensor) -> Tensor:
    return tensor


class _AsOnAGpu(TorchFunctionMode):
    """Autocast and fused attention, which the meta device has neither of."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            query, key, value = args[:3] if len(args) >= 3 else (kwargs["query"], kwargs["key"], kwargs["value"])
            return _FusedAttention.apply(query, key, value)
        if func in _PRODUCTS and len(args) >= 2:
            return func(args[0].to(args[1].dtype), *args[1:], **kwargs)
        if func in _NORMALISATIONS:
            return func(*(_full(item) for item in args), **{name: _full(item) for name, item in kwargs.items()})
        return func(*args, **kwargs)


def _full(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value


class _FusedAttention(torch.autograd.Function):
    """Keeps what a fused attention kernel keeps. It has no backward pass: nothing here is ever differentiated."""

    @staticmethod
    def forward(context: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        result = query.new_empty(*query.shape[:-1], value.shape[-1])
        rows = query.new_empty(query.shape[:-1], dtype=torch.float32)
        context.save_for_backward(query, key, value, result, rows)
        return result
