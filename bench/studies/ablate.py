"""Train and measure the rows of Table 1: each distinct row from every seed, whatever of it is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench.claims.ablations import DEFAULT, METRICS, PROMPTS, ROWS, Row
from bench.folder import OutFolder
from bench.record import Cell, Record, write_record
from bench.studies.measuring import Measurement, Student, measure, study_cell
from bench.studies.trainings import seeded_shop, train_stages
from bench.suites.shapes.training.assemble import assembled_from
from bench.suites.shapes.training.pack import RECIPES
from bench.suites.shapes.training.students.ablation import Variant, train_variant, variant
from bench.training.lock import held
from bench.training.workshop import WEIGHTS, Workshop
from methods.distill.loop import TrainingDiverged

PER_IMAGE = ("fd-shapes", "clip-shapes", "preference")
"""Scores that are kept image by image, for comparisons on the same images."""


@dataclass(frozen=True)
class Run:
    """One distinct training of the table: what it is called, the rows that it stands for, what it trains."""

    name: str
    rows: tuple[str, ...]
    variant: Variant

    def cell(self, seed: int) -> Cell:
        """Its cell, at the one step of the table."""
        return study_cell("add", 1, PROMPTS, ablation=self.name, train_seed=seed)


@dataclass(frozen=True)
class Places:
    """Where trainings and records lie."""

    training: Path
    out: Path


def runs(rows: Sequence[Row]) -> tuple[Run, ...]:
    """The distinct trainings of `rows`: rows that come out as the same one share it.

    Its name is "default" where nothing is changed, and else that of the first row of the whole table that is so.
    """
    base = variant({}, "pretrained", "teacher", "teacher")
    named: dict[Variant, list[str]] = {base: [DEFAULT]}
    for row in ROWS:
        named.setdefault(_variant(row), []).append(row.name)
    wanted = dict.fromkeys((base, *(_variant(row) for row in rows)))
    return tuple(Run(named[item][0], tuple(named[item]), item) for item in wanted)


def ablate(rows: Sequence[Row], seeds: Sequence[int], places: Places, console: Console) -> Iterator[Record]:
    """Train and measure what is missing, seed by seed, and yield every record as it is there.

    A row that another process is at is left to the end, and then waited for.
    """
    chosen = runs(rows)
    shops = {seed: seeded_shop(places.training, console, seed) for seed in seeds}
    work = [(shops[seed], run) for seed in seeds for run in chosen]
    train_stages(seeded_shop(places.training, console, 0), _needs(chosen))
    later: list[tuple[Workshop, Run]] = []
    for shop, run in work:
        with held(shop.stage(run.variant.stage) / "lock", wait=False) as mine:
            if mine:
                yield _made(shop, run, places)
            else:
                later.append((shop, run))
    for shop, run in later:
        with held(shop.stage(run.variant.stage) / "lock", wait=True):
            yield _made(shop, run, places)


def _made(shop: Workshop, run: Run, places: Places) -> Record:
    """The record of one training, which is trained first where it is not finished."""
    if not shop.finished(run.variant.stage):
        shop.console.print(f"{run.name}, training seed {shop.seed}: in {shop.stage(run.variant.stage)}")
    try:
        note = train_variant(shop, run.variant)
    except TrainingDiverged as error:
        return _diverged(run, shop.seed, places, error)
    path = shop.stage(run.variant.stage) / WEIGHTS
    facts = {key: note[key] for key in ("seconds", "images", "teacher_evaluations", "steps", "seed", "variant")}
    panels = sorted({row.panel for row in ROWS if row.name in run.rows})
    student = Student(
        assembled_from(shop, path, RECIPES["add"]),
        f"python -m bench ablate {panels[0]}",
        {**facts, "rows": list(run.rows)},
        PER_IMAGE,
    )
    return measure(Measurement(run.cell(shop.seed), METRICS, student), places.out, places.training / "measuring.lock")


def _diverged(run: Run, seed: int, places: Places, error: TrainingDiverged) -> Record:
    """The record of a row whose training stopped being finite: a result of the table, and no reason to leave others."""
    about = {"command": "python -m bench ablate", "training": {"rows": list(run.rows), "seed": seed}}
    record = Record(run.cell(seed), "failed", f"the training diverged: {error}", (), {}, {}, about)
    out = OutFolder(places.out, record.cell.suite)
    out.prepare()
    write_record(record, out.records)
    return record


def _needs(chosen: Sequence[Run]) -> list[str]:
    return list(dict.fromkeys(need for run in chosen for need in run.variant.needs))


def _variant(row: Row) -> Variant:
    return variant(dict(row.recipe), row.start, row.student, row.teacher)
