"""Put a loaded method into a mode from outside, and take it back.

A network's `forward` is replaced on the instance, never the network: hooks on it stay outside what is compiled or
captured, so parts are timed and evaluations counted in every mode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from bench.latency.modes import Mode

Work = Callable[[], Any]
Capture = Callable[[Work], tuple[Callable[[], None], Any]]
"""Captures `work` once: gives what replays it, and the output that each replay writes to."""

PARTS = ("denoiser", "decoder")
_WARM_UP = 3  # runs before a capture, as CUDA graphs ask for


def capture_on_cuda(work: Work) -> tuple[Callable[[], None], Any]:
    """Capture `work` into a CUDA graph, after runs on a side stream that initialise its libraries."""
    stream: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    current = torch.cuda.current_stream()
    stream.wait_stream(current)
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP):
            work()
    current.wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = work()
    return graph.replay, output


class Graphed:
    """A callable whose work is captured once for each signature of its arguments, and replayed.

    Tensors are copied into buffers that the capture reads; the output is copied out of those that it writes.
    """

    def __init__(self, function: Callable[..., Any], device: torch.device, capture: Capture = capture_on_cuda) -> None:
        self._function, self._device, self._capture = function, device, capture
        self._captured: dict[Any, tuple[list[Tensor], Callable[[], None], Any]] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        leaves, structure = pytree.tree_flatten((args, kwargs))
        key = (str(structure), tuple(_signature(leaf) for leaf in leaves))
        if key not in self._captured:
            self._captured[key] = self._record(leaves, structure)
        buffers, replay, output = self._captured[key]
        given = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        for buffer, tensor in zip(buffers, given, strict=True):
            buffer.copy_(tensor)
        replay()
        return pytree.tree_map(lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf, output)

    def _record(self, leaves: list[Any], structure: Any) -> tuple[list[Tensor], Callable[[], None], Any]:
        held = [leaf.to(self._device, copy=True) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        args, kwargs = pytree.tree_unflatten(held, structure)
        replay, output = self._capture(lambda: self._function(*args, **kwargs))
        return [leaf for leaf in held if isinstance(leaf, Tensor)], replay, output


@contextmanager
def watching_casts(components: Mapping[str, nn.Module]) -> Iterator[set[str]]:
    """Gives the set of components whose weights have another type while they run inside than at rest.

    A pipeline that runs its decoder in float32 and the rest in float16 moves the decoder's weights on every call, and a
    captured graph would read where they once were.
    """
    found: set[str] = set()

    def note(name: str, rest: torch.dtype) -> Callable[..., None]:
        return lambda network, _args: found.add(name) if next(network.parameters()).dtype != rest else None

    with ExitStack() as undo:
        for name, network in components.items():
            first = next(network.parameters(), None)
            if first is not None:
                undo.callback(network.register_forward_pre_hook(note(name, first.dtype)).remove)
        yield found


@contextmanager
def applied(
    mode: Mode,
    components: Mapping[str, nn.Module],
    *,
    recast: Set[str] = frozenset(),
    backend: str | Callable[..., Any] = "inductor",
    capture: Capture = capture_on_cuda,
) -> Iterator[None]:
    """Run the denoiser and the decoder of `components` in `mode`; they are as before on leaving.

    Args:
        mode: the switches.
        components: of a method.
        recast: parts that are not captured, because their weights move on every call; see `watching_casts`.
        backend: of torch.compile.
        capture: what captures a graph.
    """
    with ExitStack() as undo:
        for part in (part for part in PARTS if part in components):
            network = components[part]
            if mode.channels_last:
                network.to(memory_format=torch.channels_last)
                undo.callback(network.to, memory_format=torch.contiguous_format)
            before = network.forward
            own = "forward" in vars(network)
            forward: Callable[..., Any] = before
            if mode.compile:
                forward = torch.compile(forward, backend=backend, dynamic=False)
            if mode.graphs and part not in recast:
                forward = Graphed(forward, next(network.parameters()).device, capture)
            if forward is not before:
                vars(network)["forward"] = forward
                undo.callback(_restore, network, before if own else None)
        yield


def _restore(network: nn.Module, forward: Any) -> None:
    if forward is None:
        vars(network).pop("forward")
    else:
        vars(network)["forward"] = forward


def _signature(leaf: Any) -> Any:
    """What must be equal for a capture to serve again: shape and type of a tensor, the value of all else."""
    return (tuple(leaf.shape), leaf.dtype) if isinstance(leaf, Tensor) else repr(leaf)
