"""The cost of one method in one mode: what is called, in which order, and what each number is made of.

Order of a cell: one eager call that counts operations and evaluations; then the mode is applied, calls that do not
count, the timed calls, and where asked for, calls that alternate with the bare stock pipeline.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from bench.errors import FewstepError
from bench.latency.apply import applied, watching_casts
from bench.latency.modes import Mode
from bench.latency.neighbours import Neighbour, Watch
from bench.latency.nvml import Nvml
from bench.latency.summary import Interval, quantile, ratio_of_medians
from bench.latency.work import count_flops, parameters
from bench.measure import Measured, Protocol, latencies
from bench.memory import PeakMemory
from bench.probe import DENOISER, Clock, Timing, time_sample
from bench.record import Quantity
from methods.interface import Method, SampleRequest
from methods.sampling import PipelineMethod

EAGER = Mode()
QUANTILES = {"latency_p10_s": 0.1, "latency_p90_s": 0.9, "latency_p99_s": 0.99}


@dataclass(frozen=True)
class Instruments:
    """What a run measures with. `rates` are those of the matrix product on this machine, in operations a second."""

    clock: Clock
    device: str
    rates: Sequence[float]
    nvml: Nvml | None = None
    watch: Watch = field(default_factory=Watch)
    tell: Callable[[str], None] = lambda _line: None


@dataclass(frozen=True)
class Setting:
    """How a cell is called. `place` is the part of the protocol that it shares with its neighbours in a table."""

    mode: Mode
    warm_up: int
    repeats: int
    place: Protocol
    peer: bool = False


@dataclass
class Cost:
    """The quantities of a cell, who else used the device meanwhile, and parts that graphs could not capture."""

    measured: Measured
    neighbours: list[Neighbour]
    not_captured: list[str] = field(default_factory=list)


def measure_cell(
    method: Method, requests: Sequence[SampleRequest], setting: Setting, tools: Instruments, **options: Any
) -> Cost:
    """All costs of `method`; `options` go to `applied` (the compiler's backend, what captures a graph).

    Raises:
        FewstepError: where the mode changes how often the denoiser runs.
    """
    images = len(requests[0].prompts)
    tools.tell("counting operations")
    with watching_casts(method.components) as recast:
        work = count_flops(method, _first_image(requests[0]))
    device_memory, process_memory = PeakMemory(tools.device), PeakMemory("cpu")
    with applied(setting.mode, method.components, recast=recast, **options):
        device_memory.start()
        process_memory.start()
        tools.tell(f"warming up, {setting.warm_up} calls")
        warm = _calls(method, requests, setting.warm_up, tools.clock)
        tools.tell(f"timing, {setting.repeats} calls")
        tools.watch.start()
        before = tools.nvml.joules() if tools.nvml is not None else None
        timings = _calls(method, requests, setting.repeats, tools.clock)
        after = tools.nvml.joules() if tools.nvml is not None else None
        neighbours = [*tools.watch.neighbours(), *(tools.nvml.neighbours() if tools.nvml is not None else ())]
        peaks = {"peak_memory_bytes": device_memory, "peak_process_bytes": process_memory}
        measured = _memory(peaks if tools.device == "cuda" else {"peak_memory_bytes": device_memory}, setting.place)
        if setting.peer:
            tools.tell(f"alternating with the stock pipeline, {setting.repeats} calls each")
            measured.add(_against_stock(method, requests, setting, tools.clock))
    _check_evaluations(setting.mode, work.evaluations * images, timings)
    measured.add(_latency(timings, images, setting))
    measured.samples["warm_up_s"] = tuple(timing.total for timing in warm)
    measured.add(_work(method, work, timings, images, setting, tools.rates))
    if before is not None and after is not None:
        energy = (after - before) / (setting.repeats * images)
        measured.quantities.append(_exact("energy_j", energy, "J", {**setting.place, "counter": "NVML, whole device"}))
    return Cost(measured, neighbours, sorted(recast) if setting.mode.graphs else [])


def _first_image(request: SampleRequest) -> SampleRequest:
    """Its first image alone: attention that is split into its products takes memory by the image."""
    return replace(request, prompts=request.prompts[:1], seeds=request.seeds[:1])


def _calls(method: Method, requests: Sequence[SampleRequest], count: int, clock: Clock) -> list[Timing]:
    return [time_sample(method, requests[index % len(requests)], clock) for index in range(count)]


def _latency(timings: Sequence[Timing], images: int, setting: Setting) -> Measured:
    protocol = {**setting.place, "interval": "percentile bootstrap over calls"}
    samples = latencies(timings)
    found = Measured(samples=dict(samples))
    for name, values in samples.items():
        found.quantities.append(_spread(name, quantile(values, 0.5), len(values), protocol))
    total = samples["latency_s"]
    for name, share in QUANTILES.items():
        found.quantities.append(_spread(name, quantile(total, share), len(total), protocol))
    calls = [call for timing in timings for call in timing.denoiser_calls]
    if calls:
        found.samples["denoiser_call_s"] = tuple(calls)
        found.quantities.append(_spread("latency_denoiser_call_s", quantile(calls, 0.5), len(calls), protocol))
    value, low, high = quantile([images / seconds for seconds in total], 0.5)
    found.quantities.append(Quantity("images_per_s", value, low, high, len(total), "images/s", True, protocol))
    return found


def _work(
    method: Method, work: Timing, timings: Sequence[Timing], images: int, setting: Setting, rates: Sequence[float]
) -> Measured:
    """Evaluations, parameters and operations an image, and the share of the matrix rate that was reached."""
    when = "one eager call before the mode was applied" if setting.mode != EAGER else "one eager call"
    found = Measured()
    if work.evaluations:
        counted: Protocol = {"counted": f"rows the denoiser was called with, an image, in {when}"}
        found.quantities.append(_exact("nfe", work.evaluations, "", counted))
    counts = parameters(method.components)
    found.quantities.append(
        _exact("parameters", sum(counts.values()), "", {"covers": "components that sampling runs"}, counts)
    )
    by_part = {part: value for part, value in work.parts.items() if value}
    method_of = "torch.utils.flop_counter, products and convolutions, attention as its products"
    found.quantities.append(_exact("flops", work.total, "FLOP", {"counted": method_of}, by_part))
    found.samples["matrix_rate_flop_per_s"] = tuple(rates)
    seconds_an_operation = [1 / rate for rate in rates]
    protocol = {**setting.place, "interval": "percentile bootstrap over calls and products"}
    totals = [timing.total for timing in timings]
    found.quantities.append(
        _spread("matrix_rate_flop_per_s", quantile(rates, 0.5), len(rates), protocol, "FLOP/s", better_high=True)
    )
    shares = {"matrix_fraction": (work.total * images, totals)}
    if work.parts.get(DENOISER):
        shares["matrix_fraction_denoiser"] = (
            work.parts[DENOISER] * images,
            [timing.parts[DENOISER] for timing in timings],
        )
    for name, (operations, seconds) in shares.items():
        share = ratio_of_medians(seconds_an_operation, seconds, operations)
        found.quantities.append(_spread(name, share, len(seconds), protocol, "", better_high=True))
    return found


def _memory(peaks: Mapping[str, PeakMemory], place: Protocol) -> Measured:
    found = Measured()
    for name, peak in peaks.items():
        where = "CUDA allocator" if peak.protocol.startswith("CUDA") else peak.protocol
        found.quantities.append(_exact(name, float(peak.bytes()), "bytes", {**place, "memory": where}))
    return found


def _against_stock(method: Method, requests: Sequence[SampleRequest], setting: Setting, clock: Clock) -> Measured:
    """The bare stock pipeline against the method as the harness calls it, without hooks, call by call in turn.

    Raises:
        FewstepError: for a method that has no stock pipeline.
    """
    if not isinstance(method, PipelineMethod):
        raise FewstepError(f"{method.info.name} has no stock pipeline to compare with; leave --peer out")
    ours: list[float] = []
    stock: list[float] = []
    for index in range(setting.repeats):
        request = requests[index % len(requests)]
        for samples in (ours, stock) if index % 2 == 0 else (stock, ours):
            start = clock.mark()
            if samples is ours:
                method.sample(request)
            else:
                method.pipe(**method.pipeline_arguments(request), output_type="pt").images.cpu()
            samples.append(clock.seconds(start, clock.mark()))
    protocol = {**setting.place, "interval": "percentile bootstrap over calls", "peer": "stock pipeline, alternating"}
    n = len(ours)
    quantities = [
        _spread("peer_latency_s", quantile(stock, 0.5), n, protocol),
        _spread("overhead_ratio", ratio_of_medians(ours, stock), n, protocol, ""),
    ]
    return Measured(quantities, samples={"peer_latency_s": tuple(stock), "own_latency_s": tuple(ours)})


def _check_evaluations(mode: Mode, eager: int, timings: Sequence[Timing]) -> None:
    """Refuse a mode in which hooks see another number of evaluations than in the eager call; seeing none is fine."""
    seen = statistics.median(timing.evaluations for timing in timings)
    if seen and seen != eager:
        raise FewstepError(f"{eager} denoiser evaluations when eager, {seen:g} in mode {mode.name}")


def _spread(
    name: str, interval: Interval, n: int, protocol: Protocol, unit: str = "s", *, better_high: bool = False
) -> Quantity:
    value, low, high = interval
    return Quantity(name, value, low, high, n, unit, better_high, protocol)


def _exact(
    name: str, value: float, unit: str, protocol: Protocol, parts: Mapping[str, float] | None = None
) -> Quantity:
    """A count, or a reading that has no interval."""
    return Quantity(name, float(value), float(value), float(value), 1, unit, False, protocol, dict(parts or {}))


def dtype_of(name: str) -> torch.dtype:
    """torch's type of that name."""
    return getattr(torch, name)  # type: ignore[no-any-return]
