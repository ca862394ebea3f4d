"""What only a GPU can show: its clock, graphs, energy, the allocator."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench import architectures
from bench.architectures.build import build_pipeline
from bench.latency.apply import Graphed, applied
from bench.latency.measure import Instruments, Setting, measure_cell
from bench.latency.modes import Mode, parse_mode
from bench.latency.nvml import open_nvml
from bench.latency.work import matrix_rates
from bench.probe import CudaClock, HostClock, time_sample
from methods.interface import SampleRequest
from methods.sdxl import SDXLEuler
from tests.latency import tiny

pytestmark = pytest.mark.cuda
REQUEST = SampleRequest(("a boat",), (0,), 4)


@pytest.fixture
def method(tmp_path: Path) -> SDXLEuler:
    architecture = architectures.load(str(tiny.write(tmp_path, tiny.SDXL)))
    pipe = build_pipeline(architecture, device=torch.device("cuda"), dtype=torch.float32)
    return SDXLEuler(pipe, SDXLEuler.default_recipe)


def test_events_see_work_that_the_host_does_not_wait_for() -> None:
    a = torch.randn(4096, 4096, device="cuda")
    events, host = CudaClock(), HostClock()
    a @ a
    torch.cuda.synchronize()
    start, host_start = events.mark(), host.mark()
    for _ in range(20):
        a = a @ a * 1e-3
    host_end, end = host.mark(), events.mark()
    assert events.seconds(start, end) > 2 * host.seconds(host_start, host_end)  # a host clock stops too early


@torch.no_grad()
def test_parts_sum_to_no_more_than_the_total(method: SDXLEuler) -> None:
    method.sample(REQUEST)
    timing = time_sample(method, REQUEST, CudaClock())
    assert sum(timing.parts.values()) <= timing.total * 1.001  # events resolve half a microsecond
    assert timing.calls["denoiser"] == 4


@pytest.mark.parametrize("mode", ["channels-last", "graphs", "channels-last+graphs"])
@torch.no_grad()
def test_modes_give_the_same_image(method: SDXLEuler, mode: str) -> None:
    expected = method.sample(REQUEST).int()
    with applied(parse_mode(mode), method.components):
        images = [method.sample(REQUEST).int() for _ in range(2)]
    for image in images:
        assert (image - expected).abs().max() <= 2  # of 255: other kernels, other rounding
    assert torch.equal(images[0], images[1])


@torch.no_grad()
def test_a_graph_replays_on_new_inputs() -> None:
    layer = torch.nn.Linear(64, 64, device="cuda")
    graphed = Graphed(layer.forward, torch.device("cuda"))
    for seed in range(3):
        x = torch.randn(8, 64, generator=torch.Generator().manual_seed(seed)).cuda()
        torch.testing.assert_close(graphed(x), layer(x))


@torch.no_grad()
def test_a_cell_has_memory_rate_and_energy(method: SDXLEuler) -> None:
    clock = CudaClock()
    rates = matrix_rates(torch.device("cuda"), torch.float32, clock, side=2048)
    nvml, _ = open_nvml(str(torch.cuda.get_device_properties(0).uuid))
    tools = Instruments(clock, "cuda", rates, nvml)
    cost = measure_cell(method, [REQUEST], Setting(Mode(), 2, 20, {"device": "cuda"}), tools)
    found = {quantity.name: quantity.value for quantity in cost.measured.quantities}
    assert found["peak_memory_bytes"] > 0
    assert found["peak_process_bytes"] > 0
    assert 0 < found["matrix_fraction"] < 1
    assert nvml is None or found.get("energy_j", 1.0) > 0
