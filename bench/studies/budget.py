"""What a student had taken of the three currencies when it was kept, and its scores then.

Of a training of several parts a snapshot is of the last part; what came before is counted in full: the start of
ADD, UFOGen and DMD2, the earlier rounds of progressive distillation, the pairs and the reflow of InstaFlow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from rich.console import Console
from safetensors import safe_open

from bench.claims.ablations import METRICS, PROMPTS
from bench.record import Record
from bench.studies.ablate import Places
from bench.studies.measuring import Measurement, Student, measure, study_cell
from bench.suites.shapes.training.assemble import assemble
from bench.suites.shapes.training.pack import stage_of_checkpoint
from bench.suites.shapes.training.seeds import workshop
from bench.suites.shapes.training.students.common import CURRENCIES
from bench.suites.shapes.zoo import training_target
from bench.training.workshop import SNAPSHOTS, Workshop
from methods.registry import METHODS, PAPER, SUCCESSORS

FEWEST_STEPS = {"gd": 4, "cfg-aware": 8}
"""At which a student is measured, where that is not 1."""


@dataclass(frozen=True)
class Spent:
    """The three currencies."""

    seconds: float
    images: float
    teacher_evaluations: float

    def less(self, other: Spent) -> Spent:
        """What is left of it without `other`."""
        return Spent(
            self.seconds - other.seconds,
            self.images - other.images,
            self.teacher_evaluations - other.teacher_evaluations,
        )

    def plus(self, other: Spent, share: float, seconds: float) -> Spent:
        """Together with `seconds` and a share of the images and evaluations of `other`."""
        return Spent(
            self.seconds + seconds,
            self.images + share * other.images,
            self.teacher_evaluations + share * other.teacher_evaluations,
        )


def measure_budget(methods: Sequence[str], seeds: Sequence[int], places: Places, console: Console) -> Iterator[Record]:
    """Measure every snapshot of finished students that is there; trainings without one are named on `console`."""
    for seed in seeds:
        shop = workshop(places.training, console, seed)
        for method in methods:
            yield from _of_student(shop, method, places)


def methods_of_budget() -> tuple[str, ...]:
    """All trained methods."""
    return (*PAPER, *SUCCESSORS)


def spent_at(shop: Workshop, checkpoint: str, snapshot: str) -> Spent:
    """What the student of `checkpoint` had taken when it was kept as `snapshot`."""
    whole = _spent(shop, training_target(checkpoint))
    before = _before(shop, checkpoint, whole)
    stage = stage_of_checkpoint(checkpoint)
    return before.plus(whole.less(before), _learned(shop, stage, snapshot), _seconds(shop, stage, snapshot))


def _of_student(shop: Workshop, method: str, places: Places) -> Iterator[Record]:
    steps = FEWEST_STEPS.get(method, 1)
    checkpoint = str(METHODS.load(method).info.checkpoint(steps))
    stage = stage_of_checkpoint(checkpoint)
    kept = [share for share in SNAPSHOTS if shop.snapshot(stage, share).exists()]
    if not shop.finished(stage) or not kept:
        what = "is not trained" if not shop.finished(stage) else "kept no student on its way"
        shop.console.print(f"{checkpoint}, training seed {shop.seed}: {what} in {shop.stage(stage)}; left out")
        return
    for share in kept:
        spent = spent_at(shop, checkpoint, share)
        student = Student(
            assemble(shop, checkpoint, share),
            f"python -m bench budget {method}",
            {**vars(spent), "seed": shop.seed, "share": share},
        )
        cell = study_cell(method, steps, PROMPTS, train_seed=shop.seed, snapshot=share)
        yield measure(Measurement(cell, METRICS, student), places.out, places.training / "measuring.lock")


def _before(shop: Workshop, checkpoint: str, whole: Spent) -> Spent:
    """What was spent before the part of the training that leaves snapshots."""
    if start := shop.note(stage_of_checkpoint(checkpoint)).get("start"):
        return Spent(*(float(start[key]) for key in CURRENCIES))
    if checkpoint == "pd-1":  # its last round is the last of the whole training
        return whole.less(_spent(shop, stage_of_checkpoint(checkpoint)))
    if checkpoint == "instaflow":
        own = _own(shop, "instaflow")
        return Spent(whole.seconds - own.seconds, whole.images - own.images, whole.teacher_evaluations)
    return Spent(0, 0, 0)


def _learned(shop: Workshop, stage: str, snapshot: str) -> float:
    """The share of the student's own steps: in the lead of a discriminator it does not learn."""
    note = shop.note(stage)
    steps, lead = note["history"][-1]["config"]["steps"], note.get("recipe", {}).get("discriminator_lead", 0)
    learned: float = max(0.0, float(Fraction(snapshot) * steps - lead) / (steps - lead))
    return learned


def _seconds(shop: Workshop, stage: str, snapshot: str) -> float:
    """Of the last part until the student was kept."""
    with safe_open(shop.snapshot(stage, snapshot), framework="pt") as file:
        return float(file.metadata()["seconds"])


def _own(shop: Workshop, stage: str) -> Spent:
    """Seconds and images of the last part alone, as its last snapshot and its config have them."""
    config = shop.note(stage)["history"][-1]["config"]
    return Spent(_seconds(shop, stage, SNAPSHOTS[-1]), config["steps"] * config["batch_size"], 0)


def _spent(shop: Workshop, stage: str) -> Spent:
    note = shop.note(stage)
    return Spent(float(note["seconds"]), float(note["images"]), float(note["teacher_evaluations"]))
