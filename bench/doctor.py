"""What model cards ask for beside what a run would do: rows of text, without torch unless weights are named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import FewstepError, UsageError
from methods.checkpoints.guard import Check, Settings, compare, planned
from methods.checkpoints.table import Checkpoint, rows


@dataclass(frozen=True)
class Asked:
    """The settings of a run, as `bench run` takes them; None is the recipe's own."""

    steps: tuple[int, ...] | None = None
    guidance_scale: float | None = None
    dtype: str | None = None


@dataclass(frozen=True)
class Diagnosis:
    """One row at one step count. `checks` is empty where there is nothing to compare, and `reason` says why."""

    row: Checkpoint
    steps: int
    checks: tuple[Check, ...]
    reason: str | None = None

    @property
    def ok(self) -> bool:
        """Nothing departs from the recipe, and it could be looked at."""
        return self.reason is None and all(check.ok for check in self.checks)


def chosen_rows(methods: Sequence[str] | None, family: str | None) -> tuple[Checkpoint, ...]:
    """The rows of the methods and the family asked for, in the order of the table; all where None.

    Raises:
        UsageError: where a method has no row, or the family none of them.
    """
    if methods is None:
        return rows(family=family)
    found: list[Checkpoint] = []
    for method in methods:
        own = rows(method, family)
        if not own:
            where = "" if family is None else f" of family {family!r}"
            raise UsageError(f"{method!r} has no released checkpoint{where} in the table")
        found += own
    return tuple(found)


def diagnose(chosen: Sequence[Checkpoint], asked: Asked, weights: Mapping[str, Path]) -> Iterator[Diagnosis]:
    """Each row at each step count asked for, or at its first published one."""
    for row in chosen:
        for steps in _counts(row, chosen, asked):
            folder = weights.get(row.method)
            if folder is not None:
                yield _loaded(row, steps, asked, folder)
            else:
                settings = planned(
                    row.recipe, steps=steps, guidance_scale=asked.guidance_scale, dtype=asked.dtype or row.dtype
                )
                yield Diagnosis(row, steps, compare(row, settings))


def _counts(row: Checkpoint, chosen: Sequence[Checkpoint], asked: Asked) -> tuple[int, ...]:
    """Of several rows of one method, each answers for its own step counts; the first also for what is nobody's."""
    if asked.steps is None:
        return row.steps[:1]
    siblings = [other for other in chosen if (other.method, other.family) == (row.method, row.family)]
    published = {count for other in siblings for count in other.steps}
    first = siblings[0] == row
    return tuple(count for count in asked.steps if count in row.steps or (first and count not in published))


def _loaded(row: Checkpoint, steps: int, asked: Asked, folder: Path) -> Diagnosis:
    from bench.inspection import inspect_weights

    try:
        settings: Settings = inspect_weights(row, steps, asked.guidance_scale, asked.dtype or "float32", folder)
    except (FewstepError, ValueError) as error:
        return Diagnosis(row, steps, (), str(error))
    return Diagnosis(row, steps, compare(row, settings))
