"""The costs of a fake whose every part takes a known time: exact numbers, in every mode, at one call too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bench.errors import FewstepError
from bench.latency import summary
from bench.latency.measure import Instruments, Setting, measure_cell
from bench.latency.modes import Mode
from bench.latency.neighbours import Neighbour, Watch
from methods.interface import SampleRequest
from tests.harness import fakes
from tests.harness.test_probe import StepClock, load, request

COST_MS = {"text_encoder": 50, "denoiser": 5, "decoder": 20}
PLACE = {"device": "cpu", "batch_size": 1}


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "RESAMPLES", 99)


@pytest.fixture
def clock() -> Iterator[StepClock]:
    fakes.reset()
    clock = StepClock()

    def spend(milliseconds: int) -> None:
        clock.now += milliseconds

    fakes.control.on_module = lambda part: spend(COST_MS[part])
    fakes.control.on_step = lambda: spend(2)
    fakes.control.on_sample = lambda *_: spend(3)
    yield clock
    fakes.reset()


def tools(clock: StepClock, tmp_path: Path, **more: Any) -> Instruments:
    return Instruments(clock, "cpu", rates=[1e9, 1e9], watch=Watch(tmp_path / "none"), **more)


def values(cost: Any) -> dict[str, tuple[float, float, float]]:
    return {q.name: (q.value, q.ci_low, q.ci_high) for q in cost.measured.quantities}


@pytest.mark.parametrize("repeats", [1, 4])
def test_every_number_is_what_the_parts_took(clock: StepClock, tmp_path: Path, repeats: int) -> None:
    setting = Setting(Mode(), warm_up=2, repeats=repeats, place=PLACE)
    cost = measure_cell(load(fakes.FakeADD, tmp_path), [request(4)], setting, tools(clock, tmp_path))
    found = values(cost)
    total = 0.050 + 4 * 0.005 + 4 * 0.002 + 0.020 + 0.003
    exact = {
        "latency_s": total, "latency_p10_s": total, "latency_p90_s": total, "latency_p99_s": total,
        "latency_text_encoder_s": 0.050, "latency_denoiser_s": 0.020, "latency_denoiser_call_s": 0.005,
        "latency_scheduler_s": 0.008, "latency_decoder_s": 0.020, "latency_host_s": 0.003, "images_per_s": 1 / total,
        "nfe": 4, "parameters": 3,
    }  # fmt: skip
    for name, value in exact.items():
        assert found[name] == pytest.approx((value,) * 3, rel=1e-9), name  # integers over 1000, summed
    assert cost.measured.samples["latency_s"] == pytest.approx([total] * repeats, rel=1e-9)
    assert len(cost.measured.samples["warm_up_s"]) == 2
    assert len(cost.measured.samples["denoiser_call_s"]) == 4 * repeats
    assert "energy_j" not in found  # nothing counts it here
    parts = [f"latency_{part}_s" for part in ("text_encoder", "denoiser", "scheduler", "decoder", "host")]
    assert sum(found[name][0] for name in parts) <= total + 1e-12


def test_a_batch_counts_images(clock: StepClock, tmp_path: Path) -> None:
    setting = Setting(Mode(), warm_up=0, repeats=2, place=PLACE)
    found = values(measure_cell(load(fakes.FakeGuided, tmp_path), [request(1, 5)], setting, tools(clock, tmp_path)))
    assert found["nfe"][0] == 2  # guidance: two rows an image, whatever the batch
    assert found["images_per_s"][0] == pytest.approx(5 / 0.080, rel=1e-9)


def test_evaluations_are_counted_before_a_graph_and_said_to_be(clock: StepClock, tmp_path: Path) -> None:
    def capture(work: Any) -> Any:
        output = work()
        return (lambda: None), output  # a replay that runs no Python, as a graph's does not

    setting = Setting(Mode(graphs=True), warm_up=1, repeats=2, place=PLACE)
    cost = measure_cell(load(fakes.FakeADD, tmp_path), [request(4)], setting, tools(clock, tmp_path), capture=capture)
    nfe = next(q for q in cost.measured.quantities if q.name == "nfe")
    assert nfe.value == 4
    assert "eager call before the mode was applied" in str(nfe.protocol["counted"])


def test_a_mode_that_changes_the_evaluations_is_refused(clock: StepClock, tmp_path: Path) -> None:
    class Forgetful(fakes.FakeADD):
        calls = 0

        def sample(self, request: SampleRequest) -> torch.Tensor:
            self.calls += 1
            fewer = SampleRequest(request.prompts, request.seeds, 1) if self.calls > 1 else request
            return super().sample(fewer)

    setting = Setting(Mode(), warm_up=0, repeats=1, place=PLACE)
    with pytest.raises(FewstepError, match="4 denoiser evaluations when eager, 1 in mode eager"):
        measure_cell(load(Forgetful, tmp_path), [request(4)], setting, tools(clock, tmp_path))


def test_energy_is_an_image_s_and_neighbours_are_named(clock: StepClock, tmp_path: Path) -> None:
    readings = iter([100.0, 130.0])
    driver = SimpleNamespace(joules=lambda: next(readings), neighbours=lambda: [Neighbour("game", None)])
    setting = Setting(Mode(), warm_up=1, repeats=3, place=PLACE)
    method = load(fakes.FakeADD, tmp_path)
    cost = measure_cell(method, [request(1, 2)], setting, tools(clock, tmp_path, nvml=driver))
    assert values(cost)["energy_j"][0] == 5.0  # 30 J over three calls of two images; warm-up is outside
    assert cost.neighbours == [Neighbour("game", None)]


def test_a_method_without_a_stock_pipeline_has_no_peer(clock: StepClock, tmp_path: Path) -> None:
    setting = Setting(Mode(), warm_up=0, repeats=1, place=PLACE, peer=True)
    with pytest.raises(FewstepError, match="no stock pipeline to compare with; leave --peer out"):
        measure_cell(load(fakes.FakeADD, tmp_path), [request(1)], setting, tools(clock, tmp_path))
