"""Measure a student of a training folder as any other: by the runner, into an ordinary record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.folder import OutFolder
from bench.plan import Plan
from bench.progress import Progress
from bench.record import Cell, Record, write_record
from bench.resume import Resume
from bench.runner import run
from bench.suites.info import SuiteInfo
from bench.suites.shapes.info import INFO
from bench.training.lock import held

DIGITS = 6
"""Significant digits of a number an image in the records of a study."""

BATCH_SIZE = 50


@dataclass(frozen=True)
class Measurement:
    """What to measure of which weights. `student` None is the suite's own checkpoint, measured as `bench run` does."""

    cell: Cell
    metrics: tuple[str, ...]
    student: Student | None = None


@dataclass(frozen=True)
class Student:
    """A student of a training folder: its pipeline folder, and what its record says about it.

    `facts` go into the record as `training`, with `command` as what makes it again. `per_image` are the scores that are
    kept image by image.
    """

    folder: Path
    command: str
    facts: Mapping[str, Any]
    per_image: tuple[str, ...] = ()


def study_cell(method: str, steps: int, prompts: int, **changes: Any) -> Cell:
    """A cell of the embedded suite as studies measure it: seed 0, on the CPU, in float32."""
    settings: dict[str, Any] = {
        "suite": INFO.name, "method": method, "num_inference_steps": steps, "guidance_scale": None, "seed": 0,
        "limit": prompts, "device": "cpu", "dtype": "float32", "batch_size": BATCH_SIZE,
    }  # fmt: skip
    return Cell(**(settings | changes))


def measure(it: Measurement, out: Path, lock: Path, suite: SuiteInfo = INFO) -> Record:
    """The record of `it` in `out`, measured unless it is there; one process at a time, by the file `lock`."""
    plan = _plan(it, out, suite)
    with held(lock, wait=True):
        resume = Resume(plan)
        if not resume.pending:
            return resume.done[it.cell]
        with Progress(resume.pending) as progress:
            record = run(plan, resume, progress)[it.cell]
        if record.status == "ok" and it.student is not None:
            record = compact(record, it.student)
            write_record(record, plan.out.records)
        if it.cell.variant:
            plan.out.sheet(it.cell).unlink(missing_ok=True)  # the images are there; only what ships has a sheet
    return record


def compact(record: Record, student: Student) -> Record:
    """The record with what trained its student, and no more numbers than the study needs.

    That is, no raw timings of a student that does not ship: how fast it is nobody compares.
    """
    kept = {name: _rounded(values) for name, values in record.per_image.items() if name in student.per_image}
    about = {**record.provenance, "command": student.command, "training": dict(student.facts)}
    samples = {} if record.cell.variant else record.samples
    return replace(record, per_image=kept, samples=samples, provenance=about)


def _plan(it: Measurement, out: Path, suite: SuiteInfo) -> Plan:
    weights = {} if it.student is None else {it.cell.method: it.student.folder}
    folder = OutFolder(out, suite.name)
    folder.check()
    return Plan(suite, (it.cell,), it.metrics, folder, weights=weights)


def _rounded(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(f"{value:.{DIGITS}g}") for value in values)
