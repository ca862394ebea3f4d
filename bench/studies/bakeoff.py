"""All methods on one teacher, one data set and one budget: train what is missing, then measure what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console

from bench.claims.contenders import Asked
from bench.record import Cell, Record
from bench.studies.ablate import Places
from bench.studies.measuring import Measurement, Student, measure, study_cell
from bench.studies.trainings import train_stages
from bench.suites.shapes.training.assemble import assemble
from bench.suites.shapes.training.seeds import workshop
from bench.suites.shapes.zoo import default_zoo, training_target
from bench.training.workshop import Workshop
from methods.registry import BASELINES, METHODS

AGAIN = ("fd-shapes", "clip-shapes", "preference", "diversity")
"""Scores that records of further training seeds keep image by image."""


def bake_off(asked: Sequence[Asked], places: Places, console: Console, processes: int = 1) -> Iterator[Record]:
    """Train and measure what is missing of `asked`, in its order, and yield every record as it is there.

    Weights that the package ships are not trained again.
    """
    for item in asked:
        shop = workshop(places.training, console, item.train_seed)
        checkpoint = _checkpoint(item)
        if checkpoint is not None:
            train_stages(shop, [training_target(checkpoint)], processes)
        yield measure(_measurement(item, shop, checkpoint), places.out, places.training / "measuring.lock")


def cell_of(item: Asked) -> Cell:
    """The cell of `item`; of the first training seed an ordinary one."""
    several = item.images_per_prompt
    return study_cell(item.method, item.steps, item.prompts, images_per_prompt=several, train_seed=item.train_seed)


def command(item: Asked) -> str:
    """What makes the record of `item` again."""
    return f"python -m bench bakeoff {item.method}" + (f" --seeds {item.train_seed + 1}" if item.train_seed else "")


def _checkpoint(item: Asked) -> str | None:
    """The student to train for `item`; None where the suite ships what it needs."""
    name = str(METHODS.load(item.method).info.checkpoint(item.steps))
    if item.method in BASELINES or (item.train_seed == 0 and name in default_zoo().checkpoints):
        return None
    return name


def _measurement(item: Asked, shop: Workshop, checkpoint: str | None) -> Measurement:
    if checkpoint is None:
        return Measurement(cell_of(item), item.metrics)
    note = shop.note(training_target(checkpoint))
    facts = {key: note[key] for key in ("seconds", "images", "teacher_evaluations")}
    kept = AGAIN if item.train_seed else item.metrics
    student = Student(assemble(shop, checkpoint), command(item), {**facts, "seed": item.train_seed}, kept)
    return Measurement(cell_of(item), item.metrics, student)
