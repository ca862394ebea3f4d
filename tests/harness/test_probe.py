"""The probe against a clock that only moves when a part of a fake works, so every number is known exactly."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from bench.probe import HostClock, median_interval, time_repeatedly, time_sample
from methods.interface import SampleRequest
from tests.harness import fakes


class StepClock:
    """Counts milliseconds that the fakes' parts spend; reading it takes no time."""

    def __init__(self) -> None:
        self.now = 0

    def mark(self) -> int:
        return self.now

    def seconds(self, start: int, end: int) -> float:
        return (end - start) / 1000


COST_MS = {"text_encoder": 50, "denoiser": 5, "decoder": 20}


@pytest.fixture
def clock() -> Iterator[StepClock]:
    fakes.reset()
    clock = StepClock()

    def work(part: str) -> None:
        clock.now += COST_MS[part]

    def overhead(_name: str, _request: object) -> None:
        clock.now += 3

    def step() -> None:
        clock.now += 2

    fakes.control.on_module, fakes.control.on_sample, fakes.control.on_step = work, overhead, step
    yield clock
    fakes.reset()


def load(cls: type[fakes.FakeMethod], folder: Path) -> fakes.FakeMethod:
    (folder / "weights.txt").write_text("0.0")
    return cls.load(folder, device=torch.device("cpu"), dtype=torch.float32)


def request(steps: int, images: int = 1) -> SampleRequest:
    return SampleRequest(("a",) * images, tuple(range(images)), steps)


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_parts_are_their_own_calls_and_sum_to_the_total(clock: StepClock, tmp_path: Path, steps: int) -> None:
    timing = time_sample(load(fakes.FakeADD, tmp_path), request(steps), clock)
    # exact: integer milliseconds divided by 1000, sums of at most four of them
    assert timing.parts == pytest.approx(
        {
            "text_encoder": 0.050,
            "denoiser": 0.005 * steps,
            "scheduler": 0.002 * steps,
            "decoder": 0.020,
            "host": 0.003,
        },
        abs=1e-12,
    )
    assert sum(timing.parts.values()) == pytest.approx(timing.total, abs=1e-12)
    assert timing.calls == {"text_encoder": 1, "denoiser": steps, "decoder": 1}
    assert timing.denoiser_calls == pytest.approx([0.005] * steps, abs=1e-12)


def test_one_step_of_one_call_is_not_charged_with_the_text_encoder(clock: StepClock, tmp_path: Path) -> None:
    timing = time_sample(load(fakes.FakeADD, tmp_path), request(1), clock)
    a_step = timing.parts["denoiser"] / timing.calls["denoiser"]
    assert a_step == pytest.approx(0.005, abs=1e-12)
    gap_between_callbacks = (
        0.003 + 0.050 + 0.005
    )  # what a callback at the end of a step would have seen since the start
    assert a_step < gap_between_callbacks / 10


def test_evaluations_count_rows_an_image(clock: StepClock, tmp_path: Path) -> None:
    assert time_sample(load(fakes.FakeADD, tmp_path), request(4, images=3), clock).evaluations == 4 * 3
    guided = time_sample(load(fakes.FakeGuided, tmp_path), request(4, images=3), clock)
    assert guided.evaluations == 2 * 4 * 3  # two rows an image in one call, passed by keyword
    assert guided.calls["denoiser"] == 4


def test_a_component_inside_another_is_not_counted_twice(clock: StepClock, tmp_path: Path) -> None:
    class Nested(fakes.FakeADD):
        @property
        def components(self) -> dict[str, torch.nn.Module]:
            whole = torch.nn.Sequential(self._decoder)
            self._whole = whole
            return {"denoiser": self._denoiser, "outer": self._whole, "decoder": self._decoder, "again": self._decoder}

        def sample(self, request: SampleRequest) -> torch.Tensor:
            self._denoiser(torch.zeros(1, 3, 4, 4))
            return self._whole(torch.zeros(1, 3, 4, 4)).to(torch.uint8)

    timing = time_sample(load(Nested, tmp_path), request(1), clock)
    # what follows the denoiser in the first component after it is not the scheduler's
    expected = {"denoiser": 0.005, "outer": 0.020, "scheduler": 0.0, "host": 0.0}
    assert timing.parts == pytest.approx(expected, abs=1e-12)


def test_no_hook_stays_behind_even_after_an_error(clock: StepClock, tmp_path: Path) -> None:
    method = load(fakes.FakeADD, tmp_path)
    time_sample(method, request(1), clock)

    def fail(_name: str, _request: object) -> None:
        raise RuntimeError("boom")

    fakes.control.on_sample = fail
    with pytest.raises(RuntimeError, match="boom"):
        time_sample(method, request(1), clock)
    for module in method.components.values():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_warm_up_does_not_count(clock: StepClock, tmp_path: Path) -> None:
    calls = 0

    def slow_at_first(_name: str, _request: object) -> None:
        nonlocal calls
        calls += 1
        clock.now += 1000 if calls <= 2 else 3

    fakes.control.on_sample = slow_at_first
    timings = time_repeatedly(load(fakes.FakeADD, tmp_path), [request(1)], clock, warm_up=2, repeats=5)
    assert [timing.total for timing in timings] == pytest.approx([0.080] * 5, abs=1e-12)


def test_nothing_to_time_is_an_error(clock: StepClock, tmp_path: Path) -> None:
    method = load(fakes.FakeADD, tmp_path)
    with pytest.raises(ValueError, match="0 requests"):
        time_repeatedly(method, [], clock)
    with pytest.raises(ValueError, match="nothing to time"):
        time_repeatedly(method, [request(1)], clock, repeats=0)


def test_a_method_without_a_denoiser_has_no_scheduler(clock: StepClock, tmp_path: Path) -> None:
    class Generator(fakes.FakeADD):
        @property
        def components(self) -> dict[str, torch.nn.Module]:
            return {"decoder": self._decoder}

    timing = time_sample(load(Generator, tmp_path), request(1), clock)
    assert timing.parts == pytest.approx({"decoder": 0.020, "host": 0.060}, abs=1e-12)
    assert (timing.evaluations, timing.denoiser_calls) == (0, ())


def test_the_host_clock_moves_forward() -> None:
    clock = HostClock()
    start = clock.mark()
    assert clock.seconds(start, clock.mark()) >= 0


def test_the_interval_of_the_median_covers() -> None:
    rng = random.Random(0)
    n, runs, covered, narrow = 20, 1000, 0, 0
    for _ in range(runs):
        samples = [rng.expovariate(1.0) for _ in range(n)]  # skewed, as latencies are; its median is log 2
        value, low, high = median_interval(samples)
        assert low <= value <= high
        covered += low <= 0.6931472 <= high
        ordered = sorted(samples)
        narrow += ordered[8] <= 0.6931472 <= ordered[11]
    # ranks 6 and 15 of 20 cover 95.9 %; four standard errors of a share of 1,000 are 2.5 points
    assert 0.934 < covered / runs < 0.984
    assert narrow / runs < 0.934  # a narrower pair of ranks fails the same check


def test_small_samples_give_their_range_and_none_is_an_error() -> None:
    assert median_interval([3.0, 1.0, 2.0]) == (2.0, 1.0, 3.0)
    assert median_interval([1.0]) == (1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="no samples"):
        median_interval([])
