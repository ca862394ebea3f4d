"""Measure a method from outside: latency and its parts, denoiser evaluations, memory.

Hooks on the components a method shows see every call's beginning and end, so a part's time is the sum over its own
calls and never the gap between two callbacks (which at one step would hold the text encoders, or not exist at all).
What passes after a denoiser call until the next component begins is "scheduler": its step, guidance, and the gap in
which the device waits for the host. Whatever is left of the total is "host": tokenizer, noise, data movement.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from methods.interface import Method, SampleRequest

HOST = "host"
SCHEDULER = "scheduler"
DENOISER = "denoiser"
WARM_UP = 2
REPEATS = 20


class Clock(Protocol):
    """Marks in time. On a device that runs ahead of Python a mark lies in the device's queue."""

    def mark(self) -> Any:
        """Now."""

    def seconds(self, start: Any, end: Any) -> float:
        """From mark `start` to mark `end`; waits until the device has passed `end`."""


class HostClock:
    """The monotonic clock of the host, for work that is done when the call returns."""

    def mark(self) -> float:
        return time.perf_counter()

    def seconds(self, start: float, end: float) -> float:
        return end - start


class CudaClock:
    """CUDA events on the current stream; resolution about half a microsecond."""

    def mark(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def seconds(self, start: torch.cuda.Event, end: torch.cuda.Event) -> float:
        end.synchronize()
        return float(start.elapsed_time(end)) / 1000


def clock_of(device: str) -> Clock:
    """The clock that sees the work of `device`."""
    return CudaClock() if device == "cuda" else HostClock()


@dataclass(frozen=True)
class Timing:
    """One timed call of `sample`. `parts` sum to `total`, host included; `calls` counts calls of each component."""

    total: float
    parts: Mapping[str, float]
    calls: Mapping[str, int]
    evaluations: int  # denoiser evaluations, over all images
    denoiser_calls: tuple[float, ...] = ()  # each by itself, in order


@dataclass
class _Watch:
    """What the hooks saw during one call of `sample`."""

    clock: Clock
    open: list[tuple[str, Any]] = field(default_factory=list)
    spans: list[tuple[str, Any, Any]] = field(default_factory=list)
    evaluations: int = 0

    def enter(self, part: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self.open.append((part, self.clock.mark()))
        if part == DENOISER:
            self.evaluations += _batch_size(args, kwargs)

    def leave(self) -> None:
        part, start = self.open.pop()
        if not self.open:  # a component inside another belongs to the outer one: parts must not overlap
            self.spans.append((part, start, self.clock.mark()))


def time_sample(method: Method, request: SampleRequest, clock: Clock) -> Timing:
    """Time one `method.sample(request)` with its parts."""
    watch = _Watch(clock)
    with _hooked(method.components, watch):
        start = clock.mark()
        method.sample(request)
        end = clock.mark()
    total = clock.seconds(start, end)
    spent: dict[str, list[float]] = {}
    for part, begin, finish in watch.spans:
        spent.setdefault(part, []).append(clock.seconds(begin, finish))
    parts = {part: sum(times) for part, times in spent.items()}
    if DENOISER in parts:
        parts[SCHEDULER] = _after_denoiser(watch.spans, clock)
    parts[HOST] = max(0.0, total - sum(parts.values()))
    calls = {part: len(times) for part, times in spent.items()}
    return Timing(total, parts, calls, watch.evaluations, tuple(spent.get(DENOISER, ())))


def time_repeatedly(
    method: Method, requests: Sequence[SampleRequest], clock: Clock, *, warm_up: int = WARM_UP, repeats: int = REPEATS
) -> list[Timing]:
    """`repeats` timings after `warm_up` calls that do not count, going round `requests`.

    Raises:
        ValueError: for no requests or no repeats.
    """
    if not requests or repeats < 1:
        raise ValueError(f"{len(requests)} requests and {repeats} repeats; there is nothing to time")
    for index in range(warm_up):
        method.sample(requests[index % len(requests)])
    return [time_sample(method, requests[index % len(requests)], clock) for index in range(repeats)]


def median_interval(samples: Sequence[float]) -> tuple[float, float, float]:
    """Median of the samples with a 95 % interval between two order statistics.

    The number of samples below the true median is Binomial(n, 1/2) whatever their distribution, so the interval from
    the (k+1)-th smallest to the (k+1)-th largest misses with probability 2 P(X <= k); k is the largest that keeps this
    at 5 % or less. Under six samples no such k exists and the interval is the range.

    Raises:
        ValueError: for no samples.
    """
    if not samples:
        raise ValueError("the median of no samples")
    ordered = sorted(samples)
    n, k, tail = len(ordered), -1, 0.0
    while k + 1 < n // 2:
        tail += math.comb(n, k + 1) / 2**n
        if 2 * tail > 0.05:
            break
        k += 1
    k = max(k, 0)
    return statistics.median(ordered), ordered[k], ordered[n - 1 - k]


def _after_denoiser(spans: Sequence[tuple[str, Any, Any]], clock: Clock) -> float:
    """Sum of the gaps between the end of a denoiser call and the beginning of the next component's."""
    return sum(clock.seconds(finish, begin) for (part, _, finish), (_, begin, _) in pairwise(spans) if part == DENOISER)


@contextmanager
def _hooked(components: Mapping[str, nn.Module], watch: _Watch) -> Iterator[None]:
    handles = []
    seen: set[int] = set()
    try:
        for name, module in components.items():
            if id(module) in seen:
                continue
            seen.add(id(module))
            part = "text_encoder" if name.startswith("text_encoder") else name
            before, after = _hooks(part, watch)
            handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
            handles.append(module.register_forward_hook(after))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hooks(part: str, watch: _Watch) -> tuple[Any, Any]:
    def before(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        watch.enter(part, args, kwargs)

    def after(_module: nn.Module, _args: tuple[Any, ...], _output: Any) -> None:
        watch.leave()

    return before, after


def _batch_size(args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    """Rows of the first tensor in a denoiser call that has any: classifier-free guidance has two an image."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, Tensor) and value.ndim > 0:
            return len(value)
    raise ValueError("a denoiser call without a batch of tensors cannot be counted")
