"""Measure the cells of a plan: sample, store, judge, time, record. Each cell stands for itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from bench import provenance, registry
from bench.errors import FewstepError
from bench.failures import reason_of
from bench.following import row_of, row_weights
from bench.images import ImageStore, ImageWriter, check_prompts, write_sheet
from bench.judging import Prompt, image_seed, images_of
from bench.measure import Judgement, Measured, measure_cost, throughput
from bench.memory import PeakMemory
from bench.metrics.weights import JudgeFiles
from bench.numerics import fixed_numerics
from bench.plan import Plan
from bench.probe import clock_of
from bench.record import Cell, Quantity, Record, Status, write_record
from bench.resume import Resume
from bench.rows import check_recipe, load_row, row_key
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
    """The slices that a cell is always sampled in, `size` images each, wherever a run begins or resumes.

    `prompts` has one entry an image, as `images_of` gives them.
    """
    per_prompt = cell.images_per_prompt
    return [
        SampleRequest(
            prompts=tuple(prompt.text for prompt in prompts[start : start + size]),
            seeds=tuple(
                image_seed(cell.seed, (start + k) // per_prompt, prompt.sample)
                for k, prompt in enumerate(prompts[start : start + size])
            ),
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
    suite = cast(Suite, registry.make_suite(*plan.source))
    prompts = suite.prompts(plan.limit)
    first = plan.cells[0]
    images = images_of(prompts, first.images_per_prompt)
    check_prompts(images)
    files = JudgeFiles(plan.metric_weights)
    plan.out.prepare()
    plan.out.write_prompts(prompts)
    plan.out.write_suite(suite.description)
    with torch.no_grad(), fixed_numerics(first.device) as numerics:
        observer.stage("loading the judges")
        judgement = Judgement(
            suite, plan.metrics, images, first.seed, first.device,
            asked=plan.metrics_asked, files=files, folder=plan.out.features,
        )  # fmt: skip
        facts: dict[str, Any] = {
            "judge_files": files.listing(),
            "code": provenance.code(),
            "versions": provenance.versions(),
            "machine": provenance.machine(first.device),
            "numerics": dict(numerics),
        }
        load = given if given is not None else _loader(plan, suite)
        bench = _Bench(plan, load, images, judgement, observer, facts)
        records = {}
        for cell in resume.pending:
            observer.cell(cell, len(images))
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
        given = plan.weights.get(cell.method)
        if cell.family is not None:
            name = row_key(cell)
        else:
            cls = _methods().load_subclass(cell.method, Method)  # type: ignore[type-abstract]
            name = cell.method if given else cls.info.checkpoint(cell.num_inference_steps)
        if name not in last:
            last.clear()  # free the last method before the next one is loaded
            device, dtype = torch.device(cell.device), getattr(torch, cell.dtype)
            if cell.family is not None:
                folder = row_weights(row_of(cell), given)
            else:
                folder = pipeline_folder(given, lambda: suite.checkpoint("sdxl")) if given else suite.checkpoint(name)
            bases.let_go(folder, device, dtype)
            with loading(options):
                if cell.family is not None:
                    method: Method = load_row(cell, folder, device, dtype)
                else:
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
        images: Sequence[Prompt],
        judgement: Judgement,
        observer: Observer,
        facts: Mapping[str, Any],
    ) -> None:
        self._plan, self._load, self._images = plan, load, images
        self._firsts = [image for image in images if image.sample == 0]
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
            whole = requests_of(cell, self._images, len(self._images))[0]
            reason = loaded.method.unsupported(whole)
            if reason is not None:
                return _record(cell, "unsupported", reason, Measured(), about)
            if cell.family is not None:
                about["off_recipe"] = check_recipe(cell, self._plan, loaded.method, whole)
            return _record(cell, "ok", None, self._measure(cell, loaded, about), about, self._clusters(cell))
        except Exception as error:
            return _record(cell, "failed", reason_of(error, self._plan.out.log(cell)), Measured(), about)

    def _clusters(self, cell: Cell) -> tuple[int, ...]:
        """The number of its prompt for each image, nothing where each prompt has one."""
        several = cell.images_per_prompt
        return tuple(index // several for index in range(len(self._images))) if several > 1 else ()

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
        singles = requests_of(replace(cell, images_per_prompt=1), self._firsts[:TIMED_PROMPTS], 1)
        measured.add(measure_cost(loaded.method, singles, clock_of(cell.device), place))
        peak = float(memory.bytes())
        measured.quantities.append(
            Quantity("peak_memory_bytes", peak, peak, peak, 1, "bytes", False, {**place, "memory": memory.protocol})
        )
        self._observer.stage("judging")
        measured.add(self._judgement.measure(store, out.features))
        write_sheet(store.read(self._firsts[:SHEET_IMAGES]), out.sheet(cell))
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
        counts = [min(cell.batch_size, len(self._images) - index * cell.batch_size) for index in seconds]
        return throughput(list(seconds.values()), counts, cell, place)

    def _sample_missing(
        self, cell: Cell, method: Method, store: ImageStore, writer: ImageWriter, seconds: dict[int, float]
    ) -> None:
        for index, request in enumerate(requests_of(cell, self._images, cell.batch_size)):
            prompts = self._images[index * cell.batch_size :][: cell.batch_size]
            kept = all(store.has(prompt) for prompt in prompts)
            if not kept:
                start = time.perf_counter()
                images = method.sample(request)
                seconds[index] = time.perf_counter() - start
                _check_images(images, prompts, cell.dtype)
                writer.write(prompts, images)
            self._observer.images(len(prompts), kept=kept)


def _methods() -> NameTable:
    from methods.registry import METHODS

    return METHODS


def _record(
    cell: Cell,
    status: Status,
    reason: str | None,
    measured: Measured,
    about: Mapping[str, Any],
    clusters: tuple[int, ...] = (),
) -> Record:
    return Record(
        cell=cell,
        status=status,
        reason=reason,
        quantities=tuple(measured.quantities),
        per_image=measured.per_image,
        samples=measured.samples,
        provenance=about,
        clusters=clusters,
    )


def _place(cell: Cell, facts: Mapping[str, Any]) -> dict[str, str | int]:
    """The part of a cost's protocol that says where it was measured."""
    machine = facts["machine"]
    processor = machine["gpu"] or machine["cpu"]
    return {"device": cell.device, "dtype": cell.dtype, "processor": processor, "threads": machine["threads"]}


def _check_images(images: Tensor, prompts: Sequence[Prompt], dtype: str) -> None:
    """Refuse what is no image, and the black ones that a decoder gives where half precision overflows in it."""
    count = len(prompts)
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[:2] != (count, 3):
        found = f"{images.dtype} {tuple(images.shape)}"
        raise FewstepError(f"the method's `sample` gave {found}; uint8 ({count}, 3, H, W) is due")
    black = [prompt.id for prompt, image in zip(prompts, images, strict=True) if not bool(image.any())]
    if black and dtype != "float32":
        raise FewstepError(
            f"the image of prompt {black[0]} is all black: the VAE's decoder overflows in {dtype}; use --dtype float32 "
            "or bfloat16, or a VAE made for half precision"
        )
