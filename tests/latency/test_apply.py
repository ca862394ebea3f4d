"""Modes: names, what they do to a network, that hooks still see it, and that it is as before afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.errors import UsageError
from bench.latency.apply import Graphed, applied, watching_casts
from bench.latency.modes import Mode, parse_mode


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.formats: list[bool] = []

    def forward(self, sample: Tensor, t: int, *, extra: dict[str, Tensor] | None = None) -> tuple[Tensor]:
        added = 0.0 if extra is None else extra["bias"].sum()
        return (self.conv(sample) + t + added,)


def fake_capture(work: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
    """As CUDA graphs do it: the work is recorded once, a replay reads the same inputs and writes the same outputs."""
    outputs = work()

    def replay() -> None:
        for kept, new in zip(outputs, work(), strict=True):
            kept.copy_(new)

    return replay, outputs


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("eager", Mode()),
        ("compile", Mode(compile=True)),
        ("compile+channels-last", Mode(channels_last=True, compile=True)),
        ("graphs", Mode(graphs=True)),
    ],
)
def test_names_of_modes(text: str, mode: Mode) -> None:
    assert parse_mode(text) == mode
    assert parse_mode(mode.name) == mode


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("compiled", "did you mean 'compile'"),
        ("eager+compile", "'eager\\+compile' is not possible"),
        ("compile+compile", "names a switch twice"),
        ("", "is not possible"),
    ],
)
def test_modes_that_are_none(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_mode(text)


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    return Network()


def test_compiling_keeps_hooks_outside_and_is_undone(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, seen = [], []

    def compile_(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        asked.append(options)
        return lambda *args, **kwargs: (seen.append("compiled"), function(*args, **kwargs))[1]

    monkeypatch.setattr(torch, "compile", compile_)
    network.register_forward_pre_hook(lambda *_: seen.append("hook"))
    with torch.no_grad(), applied(parse_mode("compile"), {"denoiser": network}, backend="mine"):
        network(torch.zeros(1, 3, 8, 8), 3)
    assert asked == [{"backend": "mine", "dynamic": False}]
    assert seen == ["hook", "compiled"]
    assert "forward" not in vars(network)


@pytest.mark.slow
def test_torch_compiles_the_network_once_and_gives_the_same(network: Network) -> None:
    compiled, seen = [], []

    def backend(graph: Any, _inputs: Any) -> Any:
        compiled.append(graph)
        return graph.forward

    network.register_forward_pre_hook(lambda *_: seen.append("call"))
    sample = torch.randn(1, 3, 8, 8)
    expected = network(sample, 3)[0]
    with torch.no_grad(), applied(parse_mode("compile"), {"denoiser": network}, backend=backend):
        results = [network(sample, 3)[0] for _ in range(2)]
    assert all(torch.equal(result, expected) for result in results)
    assert len(compiled) == 1
    assert len(seen) == 3
    network(sample, 3)
    assert len(compiled) == 1


def test_channels_last_reaches_the_weights_and_is_undone(network: Network) -> None:
    sample = torch.randn(1, 3, 8, 8)
    expected = network(sample, 0)[0]
    with applied(parse_mode("channels-last"), {"decoder": network, "text_encoder": (other := Network())}):
        assert network.conv.weight.is_contiguous(memory_format=torch.channels_last)
        assert not other.conv.weight.is_contiguous(memory_format=torch.channels_last)  # only denoiser and decoder
        # the same products, summed in another order: a few units in the last place of float32
        torch.testing.assert_close(network(sample, 0)[0], expected, rtol=1e-5, atol=1e-6)
    assert network.conv.weight.is_contiguous()


def test_a_forward_of_its_own_comes_back_after_an_error(network: Network) -> None:
    own = network.forward
    vars(network)["forward"] = own  # as libraries do that hook a network by its instance
    with (
        pytest.raises(RuntimeError, match="boom"),
        applied(Mode(graphs=True), {"denoiser": network}, capture=fake_capture),
    ):
        raise RuntimeError("boom")
    assert vars(network)["forward"] is own


def test_a_graph_is_captured_once_a_signature_and_reads_new_inputs(network: Network) -> None:
    captured = []

    def capture(work: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        captured.append(work)
        return fake_capture(work)

    with torch.no_grad():
        graphed = Graphed(network.forward, torch.device("cpu"), capture)
        for seed in range(3):
            sample = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
            extra = {"bias": torch.full((2,), float(seed))}
            assert torch.equal(graphed(sample, 5, extra=extra)[0], network(sample, 5, extra=extra)[0])
        assert len(captured) == 1
        graphed(sample[:1], 5, extra=extra)  # another shape
        graphed(sample, 6, extra=extra)  # another number, which the capture would have kept
        graphed(sample, 6)  # another structure
        assert len(captured) == 4


def test_an_output_is_not_overwritten_by_the_next_call(network: Network) -> None:
    with torch.no_grad():
        graphed = Graphed(network.forward, torch.device("cpu"), fake_capture)
        first = graphed(torch.zeros(1, 3, 4, 4), 0)[0]
        kept = first.clone()
        graphed(torch.ones(1, 3, 4, 4), 0)
    assert torch.equal(first, kept)


def test_a_part_that_is_cast_while_it_runs_is_found_and_not_captured(network: Network) -> None:
    captured = []

    def capture(work: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        captured.append(work)
        return fake_capture(work)

    components, sample = {"denoiser": Network(), "decoder": network.half()}, torch.zeros(1, 3, 4, 4)

    def call() -> None:
        components["denoiser"](sample, 0)
        network.float()(sample, 0)  # as the stock pipeline does with a decoder that must not run in half precision
        network.half()

    with torch.no_grad():
        with watching_casts(components) as recast:
            call()
        assert recast == {"decoder"}
        with applied(Mode(graphs=True), components, recast=recast, capture=capture):
            call()
    assert len(captured) == 1
    assert not network._forward_pre_hooks
