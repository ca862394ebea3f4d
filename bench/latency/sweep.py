"""Time the cells of a plan, each by itself; each gets a record, whatever happens to the others."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import torch

from bench import provenance
from bench.failures import reason_of
from bench.latency.loading import Loader
from bench.latency.measure import Cost, Instruments, Setting, dtype_of, measure_cell
from bench.latency.modes import parse_mode
from bench.latency.nvml import Nvml, open_nvml
from bench.latency.plan import LatencyPlan
from bench.latency.resume import LatencyResume
from bench.latency.work import matrix_rates
from bench.measure import Measured
from bench.numerics import current_numerics
from bench.probe import clock_of
from bench.record import Cell, Record, Status, write_record
from methods.names import NameTable

Tell = Callable[[str], None]


def run(plan: LatencyPlan, resume: LatencyResume, tell: Tell, known: NameTable | None = None) -> dict[Cell, Record]:
    """Time the pending cells of `plan` and write their records; `tell` is given a line now and then.

    The numerics of torch are left as they are, and stored: this is what sampling costs as users run it.
    """
    plan.out.prepare()
    first = plan.cells[0]
    nvml, energy = _nvml(first.device)
    with torch.no_grad():
        tell("measuring the rate of this machine's matrix product")
        rates = matrix_rates(torch.device(first.device), dtype_of(first.dtype), clock_of(first.device))
        facts = {
            "code": provenance.code(),
            "versions": provenance.versions(),
            "machine": provenance.machine(first.device),
            "numerics": current_numerics(),
            "protocol": plan.protocol,
            "energy": energy,
        }
        sweep = _Sweep(plan, resume, Loader(plan, known), facts, nvml, rates)
        records = {}
        for index, cell in enumerate(resume.pending):
            title = f"cell {index + 1} of {len(resume.pending)} · {cell_title(cell)} · "
            record = sweep.time(cell, _titled(tell, title))
            write_record(record, plan.out.records)
            records[cell] = record
    return records


class _Sweep:
    """What the cells of a run share."""

    def __init__(
        self,
        plan: LatencyPlan,
        resume: LatencyResume,
        loader: Loader,
        facts: Mapping[str, Any],
        nvml: Nvml | None,
        rates: list[float],
    ) -> None:
        self._plan, self._resume, self._loader = plan, resume, loader
        self._facts, self._nvml, self._rates = facts, nvml, rates

    def time(self, cell: Cell, tell: Tell) -> Record:
        """The record of `cell`: ok, unsupported with the method's reason, or failed with the error's."""
        about = {**self._facts, "command": self._plan.command(cell), "origin": self._resume.origin(cell)}
        try:
            tell("loading")
            loaded = self._loader.load(cell)
            requests = self._loader.requests(cell)
            about |= {"weights": loaded.weights, "recipe": provenance.plain(loaded.method.recipe)}
            reason = loaded.method.unsupported(requests[0])
            if reason is not None:
                return _record(cell, "unsupported", reason, Measured(), about)
            tools = Instruments(clock_of(cell.device), cell.device, self._rates, self._nvml, tell=tell)
            load_before = _load_average()
            cost: Cost = measure_cell(loaded.method, requests, self._setting(cell), tools)
            about["neighbours"] = [asdict(item) for item in cost.neighbours]
            about["not_captured"] = cost.not_captured
            about["load_average"] = [load_before, _load_average()]
            return _record(cell, "ok", None, cost.measured, about)
        except Exception as error:
            return _record(cell, "failed", reason_of(error, self._plan.out.log(cell)), Measured(), about)

    def _setting(self, cell: Cell) -> Setting:
        machine = self._facts["machine"]
        place = {
            "device": cell.device,
            "dtype": cell.dtype,
            "processor": machine["gpu"] or machine["cpu"],
            "threads": machine["threads"],
            "clock": "CUDA events" if cell.device == "cuda" else "monotonic",
            "batch_size": cell.batch_size,
            "mode": cell.mode,
            "warm_up": self._plan.warm_up,
            "repeats": self._plan.repeats,
        }
        return Setting(parse_mode(cell.mode), self._plan.warm_up, self._plan.repeats, place, self._plan.peer)


def cell_title(cell: Cell) -> str:
    """`add, 1 step, eager`."""
    steps = f"{cell.num_inference_steps} step{'' if cell.num_inference_steps == 1 else 's'}"
    batch = "" if cell.batch_size == 1 else f", batches of {cell.batch_size}"
    return f"{cell.method}, {steps}, {cell.mode}{batch}"


def _titled(tell: Tell, title: str) -> Tell:
    return lambda line: tell(title + line)


def _nvml(device: str) -> tuple[Nvml | None, str]:
    if device != "cuda":
        return None, "not measured on a CPU"
    nvml, missing = open_nvml(str(torch.cuda.get_device_properties(0).uuid))
    return nvml, missing or "NVML"


def _load_average() -> float | None:
    """Processes that wanted a core in the last minute, ours among them; of the whole machine, containers and all."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None


def _record(cell: Cell, status: Status, reason: str | None, measured: Measured, about: Mapping[str, Any]) -> Record:
    return Record(
        cell, status, reason, tuple(measured.quantities), measured.per_image, measured.samples, provenance=dict(about)
    )
