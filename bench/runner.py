"""Measure the cells of a plan: sample, store, judge, time, record. Each cell stands for itself."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from bench import provenance, registry
from bench.errors import FewstepError
from bench.images import ImageStore, ImageWriter, check_prompts, write_sheet
from bench.judging import Prompt, image_seed
from bench.measure import Judgement, Measured, measure_cost, throughput
from bench.memory import PeakMemory
from bench.numerics import fixed_numerics
from bench.plan import Plan
from bench.probe import clock_of
from bench.record import Cell, Quantity, Record, Status, write_record
from bench.resume import Resume
from bench.suites.interface import Suite
from methods.bases import Bases
from methods.hub.resolve import pipeline_folder
from methods.hub.views import sources_of
from methods.interface import Method, SampleRequest
from methods.loading import Loading, loading
from methods.names import NameTable

SHEET_IMAGES = 16
TIMED_PROMPTS = 16


class Observer(Protocol):
    """What a run tells the outside while it works."""

    def cell(self, cell: Cell, images: int) -> None:
        """`cell` begins and has `images` images to go through."""

    def images(self, count: int, *, kept: bool) -> None:
        """`count` more images are there; `kept` from an earlier run, or sampled now."""

    def stage(self, text: str) -> None:
        """What the cell does now, in a word or two."""

    def done(self, record: Record) -> None:
        """The cell's record is written."""


def requests_of(cell: Cell, prompts: Sequence[Prompt], size: int) -> list[SampleRequest]:
    """The slices that a cell is always sampled in, `size` prompts each, wherever a run begins or resumes."""
    return [
        SampleRequest(
            prompts=tuple(prompt.text for prompt in prompts[start : start + size]),
            seeds=tuple(image_seed(cell.seed, start + k) for k in range(len(prompts[start : start + size]))),
            num_inference_steps=cell.num_inference_steps,
            guidance_scale=cell.guidance_scale,
        )
        for start in range(0, len(prompts), size)
    ]


@dataclass(frozen=True)
class Loaded:
    """A method ready to sample, with the hash of the weights it was loaded from, and where those come from."""

    method: Method
    weights: str
    sources: Sequence[Mapping[str, Any]] = ()


Loader = Callable[[Cell], Loaded]


def run(plan: Plan, resume: Resume, observer: Observer, given: Loader | None = None) -> dict[Cell, Record]:
    """Measure the pending cells of `plan`; each gets a record, whatever happens to the others.

    `given` provides methods that are loaded already, in place of the suite's checkpoints.

    Raises:
        FewstepError: where the suite itself (prompts, judges) cannot be had; no cell was begun then.
    """
    suite = registry.SUITES.load_subclass(plan.suite.name, Suite)()  # type: ignore[type-abstract]
    prompts = suite.prompts(plan.limit)
    check_prompts(prompts)
    plan.out.prepare()
    plan.out.write_prompts(prompts)
    first = plan.cells[0]
    with torch.no_grad(), fixed_numerics(first.device) as numerics:
        observer.stage("loading the judges")
        judgement = Judgement(suite, plan.metrics, prompts, first.seed, first.device, asked=plan.metrics_asked)
        facts = {
            "code": provenance.code(),
            "versions": provenance.versions(),
            "machine": provenance.machine(first.device),
            "numerics": dict(numerics),
        }
        load = given if given is not None else _loader(plan, suite)
        bench = _Bench(plan, load, prompts, judgement, observer, facts)
        records = {}
        for cell in resume.pending:
            observer.cell(cell, len(prompts))
            record = bench.measure(cell, resume.origin(cell))
            write_record(record, plan.out.records)
            records[cell] = record
            observer.done(record)
    return records


def _loader(plan: Plan, suite: Suite) -> Loader:
    """Loads by name from the suite's checkpoint or the folder given, once for consecutive cells of a checkpoint."""
    last: dict[str, Loaded] = {}
    bases = Bases()
    options = Loading(plan.offload, plan.slicing, bases)

    def load(cell: Cell) -> Loaded:
        cls = _methods().load_subclass(cell.method, Method)  # type: ignore[type-abstract]
        given = plan.weights.get(cell.method)
        name = cell.method if given else cls.info.checkpoint(cell.num_inference_steps)
        if name not in last:
            last.clear()  # free the last method before the next one is loaded
            folder = pipeline_folder(given, lambda: suite.checkpoint("sdxl")) if given else suite.checkpoint(name)
            device, dtype = torch.device(cell.device), getattr(torch, cell.dtype)
            bases.let_go(folder, device, dtype)
            with loading(options):
                method = cls.load(folder, device=device, dtype=dtype)
            last[name] = Loaded(method, provenance.folder_hash(folder), sources_of(folder))
        return last[name]

    return load


class _Bench:
    """What the cells of a run share: where methods come from, the judges, the facts about the machine."""

    def __init__(
        self,
        plan: Plan,
        load: Loader,
        prompts: Sequence[Prompt],
        judgement: Judgement,
        observer: Observer,
        facts: Mapping[str, Any],
    ) -> None:
        self._plan, self._load, self._prompts = plan, load, prompts
        self._judgement, self._observer, self._facts = judgement, observer, facts

    def measure(self, cell: Cell, origin: Mapping[str, Any]) -> Record:
        """The record of `cell`: ok, unsupported with the method's reason, or failed with the error's."""
        about: dict[str, Any] = {**self._facts, "command": self._plan.command(cell), "origin": dict(origin)}
        if self._plan.loading:
            about["loading"] = self._plan.loading
        try:
            self._observer.stage("loading the method")
            loaded = self._load(cell)
            about["weights"] = loaded.weights
            if loaded.sources:
                about["sources"] = provenance.plain(loaded.sources)
            about["recipe"] = provenance.plain(loaded.method.recipe)
            whole = requests_of(cell, self._prompts, len(self._prompts))[0]
            reason = loaded.method.unsupported(whole)
            if reason is not None:
                return _record(cell, "unsupported", reason, Measured(), about)
            return _record(cell, "ok", None, self._measure(cell, loaded, about), about)
        except Exception as error:
            return _record(cell, "failed", self._reason(cell, error), Measured(), about)

    def _measure(self, cell: Cell, loaded: Loaded, about: dict[str, Any]) -> Measured:
        out = self._plan.out
        store = ImageStore(out.images(cell))
        if self._plan.force:
            out.record(cell).unlink(missing_ok=True)  # or a run stopped now would count as done
            store.discard()
        store.open({"weights": loaded.weights, "recipe": about["recipe"]})
        place = _place(cell, self._facts)
        memory = PeakMemory(cell.device)
        memory.start()
        measured = self._sample(cell, loaded.method, store, place)
        self._observer.stage("timing")
        singles = requests_of(cell, self._prompts[:TIMED_PROMPTS], 1)
        measured.add(measure_cost(loaded.method, singles, clock_of(cell.device), place))
        peak = float(memory.bytes())
        measured.quantities.append(
            Quantity("peak_memory_bytes", peak, peak, peak, 1, "bytes", False, {**place, "memory": memory.protocol})
        )
        self._observer.stage("judging")
        measured.add(self._judgement.measure(store, out.features))
        write_sheet(store.read(self._prompts[:SHEET_IMAGES]), out.sheet(cell))
        about["metrics"] = [name for name in self._plan.metrics if name not in measured.left_out]
        about["left_out"] = measured.left_out
        return measured

    def _sample(self, cell: Cell, method: Method, store: ImageStore, place: Mapping[str, str | int]) -> Measured:
        """Sample every slice of which an image is missing."""
        seconds = store.read_times(place)
        try:
            with ImageWriter(store, background=cell.device != "cpu") as writer:
                self._sample_missing(cell, method, store, writer, seconds)
        finally:
            store.write_times(place, seconds)
        counts = [min(cell.batch_size, len(self._prompts) - index * cell.batch_size) for index in seconds]
        return throughput(list(seconds.values()), counts, cell, place)

    def _sample_missing(
        self, cell: Cell, method: Method, store: ImageStore, writer: ImageWriter, seconds: dict[int, float]
    ) -> None:
        for index, request in enumerate(requests_of(cell, self._prompts, cell.batch_size)):
            prompts = self._prompts[index * cell.batch_size :][: cell.batch_size]
            kept = all(store.has(prompt) for prompt in prompts)
            if not kept:
                start = time.perf_counter()
                images = method.sample(request)
                seconds[index] = time.perf_counter() - start
                _check_images(images, len(prompts))
                writer.write(prompts, images)
            self._observer.images(len(prompts), kept=kept)

    def _reason(self, cell: Cell, error: Exception) -> str:
        """One line for the record; the trace of an error that is not meant for users goes to a log."""
        if isinstance(error, FewstepError):
            return str(error)
        log = self._plan.out.log(cell)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        first_line = str(error).strip().partition("\n")[0]
        return f"{type(error).__name__}: {first_line} (trace in {log.parent.name}/{log.name})"


def _methods() -> NameTable:
    from methods.registry import METHODS

    return METHODS


def _record(cell: Cell, status: Status, reason: str | None, measured: Measured, about: Mapping[str, Any]) -> Record:
    return Record(
        cell=cell,
        status=status,
        reason=reason,
        quantities=tuple(measured.quantities),
        per_image=measured.per_image,
        samples=measured.samples,
        provenance=about,
    )


def _place(cell: Cell, facts: Mapping[str, Any]) -> dict[str, str | int]:
    """The part of a cost's protocol that says where it was measured."""
    machine = facts["machine"]
    processor = machine["gpu"] or machine["cpu"]
    return {"device": cell.device, "dtype": cell.dtype, "processor": processor, "threads": machine["threads"]}


def _check_images(images: Tensor, count: int) -> None:
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[:2] != (count, 3):
        found = f"{images.dtype} {tuple(images.shape)}"
        raise FewstepError(f"the method's `sample` gave {found}; uint8 ({count}, 3, H, W) is due")
