"""Operations against closed forms, parameters, and the matrix rate by an injected clock."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from bench.latency.work import FlopClock, count_flops, matrix_rates, parameters
from methods.interface import Method, MethodInfo, Recipe, SampleRequest

BATCH, TOKENS, WIDTH, HEADS = 2, 6, 8, 2


class Attention(nn.Module):
    """Fused attention of 2 heads between a projection in and one out."""

    def __init__(self) -> None:
        super().__init__()
        self.project, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.project(x).view(len(x), TOKENS, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v)
        return self.out(attended.transpose(1, 2).reshape(x.shape))


class OneAttention(Method):
    info = MethodInfo("one", "one", "", None, "", (1,))
    recipe = Recipe(scheduler="none")

    def __init__(self) -> None:
        self.attention, self.conv = Attention(), nn.Conv2d(3, 4, 3, bias=False)

    @classmethod
    def load(cls, weights: Path, *, device: torch.device, dtype: torch.dtype) -> Self:
        return cls()

    @property
    def components(self) -> dict[str, nn.Module]:
        return {"denoiser": self.attention, "decoder": self.conv}

    def unsupported(self, request: SampleRequest) -> str | None:
        return None

    def sample(self, request: SampleRequest) -> Tensor:
        for _ in range(request.num_inference_steps):
            self.attention(torch.zeros(len(request.prompts), TOKENS, WIDTH))
        return self.conv(torch.zeros(len(request.prompts), 3, 10, 10)).to(torch.uint8)


PROJECTIONS = 2 * TOKENS * WIDTH * (3 * WIDTH + WIDTH)  # an image
PRODUCTS = 2 * 2 * TOKENS * TOKENS * WIDTH  # q k^T and its product with v, over all heads
CONVOLUTION = 2 * 4 * 3 * 3 * 3 * 8 * 8


@torch.no_grad()
def test_operations_are_those_of_the_closed_forms() -> None:
    request = SampleRequest(("a",) * BATCH, tuple(range(BATCH)), 3)
    work = count_flops(OneAttention(), request)
    assert work.parts["denoiser"] == 3 * BATCH * (PROJECTIONS + PRODUCTS)
    assert work.parts["decoder"] == BATCH * CONVOLUTION
    assert work.total == work.parts["denoiser"] + work.parts["decoder"]
    assert work.evaluations == 3 * BATCH


@torch.no_grad()
def test_the_fused_attention_of_a_cpu_would_not_be_counted() -> None:
    with FlopCounterMode(display=False) as counter:
        Attention()(torch.zeros(1, TOKENS, WIDTH))
    assert counter.get_total_flops() == PROJECTIONS  # which is why it is split into its products
    clock = FlopClock()
    with clock.counting():
        Attention()(torch.zeros(1, TOKENS, WIDTH))
    assert clock.seconds(0, clock.mark()) == PROJECTIONS + PRODUCTS


def test_shared_parameters_count_once() -> None:
    one, conv = nn.Linear(3, 5), nn.Conv2d(3, 4, 3)
    assert parameters({"a": one, "b": nn.Sequential(one, conv)}) == {"a": 20, "b": 4 * 27 + 4}


class Ticks:
    """Each mark is a tenth of a second after the last."""

    now = 0

    def mark(self) -> int:
        self.now += 1
        return self.now

    def seconds(self, start: int, end: int) -> float:
        return (end - start) / 10


def test_the_matrix_rate_is_work_over_time() -> None:
    rates = matrix_rates(torch.device("cpu"), torch.float32, Ticks(), side=32)
    assert rates == [2 * 32**3 / 0.1] * 10
