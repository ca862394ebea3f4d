"""How much arithmetic an image is, and how much of it this machine can do in a second."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bench.probe import Clock, Timing, time_sample
from methods.interface import Method, SampleRequest

MATRIX_SIDE = {"cpu": 1024, "cuda": 8192}
MATRIX_REPEATS = 10
_WARM_UP = 3


class FlopClock:
    """A clock that counts floating-point operations in place of seconds, so that the probe's hooks count them by part.

    Matrix products and convolutions count, a multiplication and an addition each; element-wise work does not.
    """

    def __init__(self) -> None:
        self._counter = FlopCounterMode(display=False)

    def mark(self) -> int:
        return int(self._counter.get_total_flops())

    def seconds(self, start: int, end: int) -> float:
        return float(end - start)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count what runs inside.

        Attention is split into its products there: the fused kernel of CPUs is one that torch's counter does not know.
        """
        with sdpa_kernel(SDPBackend.MATH), self._counter:
            yield


def count_flops(method: Method, request: SampleRequest) -> Timing:
    """Operations of one call of `sample`, whole and by part, and its denoiser evaluations."""
    clock = FlopClock()
    with clock.counting():
        return time_sample(method, request, clock)


def matrix_rates(device: torch.device, dtype: torch.dtype, clock: Clock, side: int | None = None) -> list[float]:
    """Operations a second of square matrix products of `dtype` on `device`, one value a product.

    The rate that this machine reaches with these settings, not the one on its data sheet.
    """
    n = MATRIX_SIDE[device.type] if side is None else side
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(n, n, generator=generator).to(device, dtype) for _ in range(2))
    for _ in range(_WARM_UP):
        a @ b
    rates = []
    for _ in range(MATRIX_REPEATS):
        start = clock.mark()
        a @ b
        rates.append(2 * n**3 / clock.seconds(start, clock.mark()))
    return rates


def parameters(components: Mapping[str, nn.Module]) -> dict[str, int]:
    """Parameters of each component, those of a shared one counted where it stands first."""
    seen: set[int] = set()
    counts = {}
    for name, network in components.items():
        own = [parameter for parameter in network.parameters() if id(parameter) not in seen]
        seen.update(id(parameter) for parameter in own)
        counts[name] = sum(parameter.numel() for parameter in own)
    return counts
