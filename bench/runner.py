"""Measure the cells of a plan: sample, store, judge, time, record. Each cell stands for itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch

from bench import provenance, registry
from bench.failures import reason_of
from bench.following import row_of, row_weights
from bench.images import ImageStore, check_prompts, write_sheet
from bench.judging import Prompt, images_of
from bench.measure import Judgement, Measured, measure_cost
from bench.memory import PeakMemory
from bench.metrics.weights import JudgeFiles
from bench.numerics import fixed_numerics
from bench.plan import Plan
from bench.probe import clock_of
from bench.record import Cell, Quantity, Record, Status, write_record
from bench.resume import Resume
from bench.rows import check_recipe, load_row, row_key
from bench.sampling import Observer, Unobserved, requests_of, sample_cell, slice_facts
from bench.source import image_source
from bench.storage import storage_error, storing
from bench.suites.interface import Suite
from methods.bases import Bases
from methods.hub.resolve import pipeline_folder
from methods.hub.views import sources_of
from methods.interface import Method
from methods.loading import Loading, loading
from methods.names import NameTable

SHEET_IMAGES = 16
TIMED_PROMPTS = 16


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
        StorageError: where the disk of the out folder is full or closed; the cells before it are recorded.
    """
    with storing(plan.out.root):
        return _run(plan, resume, observer, given)


def _run(plan: Plan, resume: Resume, observer: Observer, given: Loader | None) -> dict[Cell, Record]:
    suite = cast(Suite, registry.make_suite(*plan.source))
    prompts = suite.prompts(plan.limit)
    first = plan.cells[0]
    images = images_of(prompts, first.images_per_prompt)
    check_prompts(images)
    files = JudgeFiles(plan.metric_weights)
    plan.out.prepare()
    plan.out.results_fall_behind()
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
        load = given if given is not None else make_loader(plan, suite)
        bench = _Bench(plan, load, images, judgement, observer, facts)
        records = {}
        for cell in resume.pending:
            observer.cell(cell, len(images))
            record = bench.measure(cell, resume.origin(cell))
            write_record(record, plan.out.records)
            records[cell] = record
            observer.done(record)
    return records


def make_loader(plan: Plan, suite: Suite) -> Loader:
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


class Sampler:
    """Samples and stores the images of one cell after the other, and does nothing else with them."""

    def __init__(self, plan: Plan) -> None:
        suite = cast(Suite, registry.make_suite(*plan.source))
        self._plan = plan
        self._images = images_of(suite.prompts(plan.limit), plan.cells[0].images_per_prompt)
        check_prompts(self._images)
        self._load = make_loader(plan, suite)

    def sample(self, cell: Cell) -> str | None:
        """None once all images of `cell` are stored, or why it cannot be sampled.

        Raises:
            FewstepError: where the weights cannot be had or do something else than their recipe says.
        """
        with torch.no_grad(), fixed_numerics(cell.device):
            loaded = self._load(cell)
            whole = requests_of(cell, self._images, len(self._images))[0]
            if (reason := loaded.method.unsupported(whole)) is not None:
                return reason
            if cell.family is not None:
                check_recipe(cell, self._plan, loaded.method, whole)
            place = _place(cell, {"machine": provenance.machine(cell.device)})
            store = _store(self._plan, cell, loaded, self._images)
            sample_cell(cell, self._images, loaded.method, store, place, Unobserved())
        return None


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
            if (full := storage_error(error, self._plan.out.root)) is not None:
                raise full from error  # the next cell could not be stored either
            return _record(cell, "failed", reason_of(error, self._plan.out.log(cell)), Measured(), about)

    def _clusters(self, cell: Cell) -> tuple[int, ...]:
        """The number of its prompt for each image, nothing where each prompt has one."""
        several = cell.images_per_prompt
        return tuple(index // several for index in range(len(self._images))) if several > 1 else ()

    def _measure(self, cell: Cell, loaded: Loaded, about: dict[str, Any]) -> Measured:
        out = self._plan.out
        if self._plan.force:
            discard(self._plan, cell)
        store = _store(self._plan, cell, loaded, self._images)
        place = _place(cell, self._facts)
        memory = PeakMemory(cell.device)
        memory.start()
        measured = sample_cell(cell, self._images, loaded.method, store, place, self._observer)
        about |= slice_facts(cell, store, place)
        self._observer.stage("timing")
        singles = requests_of(replace(cell, images_per_prompt=1), self._firsts[:TIMED_PROMPTS], 1)
        measured.add(measure_cost(loaded.method, singles, clock_of(cell.device), place))
        peak = float(memory.bytes())
        measured.quantities.append(
            Quantity("peak_memory_bytes", peak, peak, peak, 1, "bytes", False, {**place, "memory": memory.protocol})
        )
        self._observer.stage("judging")
        measured.add(self._judgement.measure(store, out.features))
        about["images"] = store.write_hashes(self._images)
        write_sheet(store.read(self._firsts[:SHEET_IMAGES]), out.sheet(cell))
        about["metrics"] = [name for name in self._plan.metrics if name not in measured.left_out]
        about["left_out"] = measured.left_out
        return measured


def discard(plan: Plan, cell: Cell) -> None:
    """Forget what is there of `cell`: its record first, or a run that is stopped now would count as done."""
    plan.out.record(cell).unlink(missing_ok=True)
    ImageStore(plan.out.images(cell)).discard()


def _store(plan: Plan, cell: Cell, loaded: Loaded, images: Sequence[Prompt]) -> ImageStore:
    """Where the images of `cell` are kept, without any that were made otherwise than they would be now."""
    store = ImageStore(plan.out.images(cell))
    recipe = provenance.plain(loaded.method.recipe)
    store.open(image_source(cell, loaded.weights, recipe, images, plan.loading, loaded.method))
    return store


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
