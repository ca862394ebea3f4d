"""Cells and the recipes of model cards: which family, which row of the table, and what departs from it. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench.errors import UsageError
from bench.record import Cell
from bench.suites.info import SuiteInfo
from methods.checkpoints.guard import Check, planned, problems
from methods.checkpoints.table import Checkpoint, check_family, find, rows
from methods.hub.lock import locked_commit
from methods.hub.resolve import pipeline_folder, resolve_wanted, row_folder
from methods.hub.wanted import all_rows, base_of_row, wanted_of_row
from methods.recipes import read_recipe
from methods.registry import is_released

OWN_FAMILY = "shapes"
"""The embedded suite's family: its own networks, which its own recipes are for."""

_STEPS = ("steps", "timesteps")


def follow_recipes(
    cells: Sequence[Cell],
    suite: SuiteInfo,
    family: str | None,
    weights: Mapping[str, Path],
    *,
    allow: bool,
) -> tuple[Cell, ...]:
    """The cells with their family, each that departs from its recipe marked so.

    A step count that a checkpoint is not published for is left to its cell, which says so: a table of methods and step
    counts has such gaps.

    Raises:
        UsageError: for a family that is unknown or not this suite's, a method without weights in it, or a setting off
            the recipe that is not allowed.
    """
    if family is None or family == OWN_FAMILY:
        _need_no_family(cells, weights)
        return tuple(cells)
    check_family(family)
    if suite.own_family:
        raise UsageError(
            f"--family {family}: the judges of suite {suite.name!r} know its own images alone; name another --suite"
        )
    placed = [replace(cell, family=family) for cell in cells]
    return tuple(_judged(cell, weights.get(cell.method), allow=allow) for cell in placed)


def departures(cell: Cell, folder: Path | None) -> tuple[Check, ...]:
    """Where `cell`, which has a family, departs from its row, as far as it is known before anything is loaded.

    Raises:
        UsageError: where there is no such row.
        WeightsError: where the folder's recipe.json is none.
    """
    row = row_of(cell)
    own = None if folder is None or not folder.is_dir() else read_recipe(folder)
    settings = planned(
        own or row.recipe, steps=cell.num_inference_steps, guidance_scale=cell.guidance_scale, dtype=cell.dtype
    )
    return problems(row, settings)


def row_of(cell: Cell) -> Checkpoint:
    """The row of the table that `cell`, which has a family, is about.

    Raises:
        UsageError: where there is none.
    """
    return find(cell.method, str(cell.family), cell.num_inference_steps)


def row_weights(row: Checkpoint, given: Path | None) -> Path:
    """The pipeline folder that `row` is sampled from; `given` replaces its own weights, or a part of them.

    Raises:
        WeightsError: where the weights are missing or cannot be used.
    """
    if given is None:
        return row_folder(row)
    base = base_of_row(row, all_rows())
    return pipeline_folder(given, lambda: row_folder(row) if base is None else resolve_wanted(base))


def checkpoint_of(row: Checkpoint) -> tuple[str | None, ...]:
    """Model, commit and file of a row, then of its base where it is put into one: what a record was made from.

    A branch stands for the commit that was recorded of it, so that a fetch that moved it measures again.
    """
    wanted = [item for item in (wanted_of_row(row), base_of_row(row, all_rows())) if item is not None]
    hubs = [item.hub_id for item in wanted]
    return tuple(
        value
        for hub in hubs
        for value in (hub.repo, locked_commit(hub.repo, hub.revision) or hub.revision, hub.filename)
    )


def _judged(cell: Cell, folder: Path | None, *, allow: bool) -> Cell:
    row = row_of(cell)
    if not row.runs:
        raise UsageError(f"{row.name} is listed with its recipe and not run here; `bench doctor` shows it")
    if row.repo is None and folder is None:
        raise UsageError(f"{row.name}: {row.note}")
    found = departures(cell, folder)
    if not allow and (wrong := [check for check in found if check.name not in _STEPS]):
        raise UsageError(f"{row.name}: {wrong[0].line} (--allow-off-recipe runs it, marked)")
    return replace(cell, off_recipe=bool(found)) if allow else cell


def _need_no_family(cells: Sequence[Cell], weights: Mapping[str, Path]) -> None:
    for method in dict.fromkeys(cell.method for cell in cells):
        if is_released(method) and method not in weights:
            families = ", ".join(dict.fromkeys(row.family for row in rows(method)))
            raise UsageError(f"{method!r} has released weights alone; name their family with --family ({families})")
