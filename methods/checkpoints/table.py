"""The table of released checkpoints: one row a file (or folder) that somebody published, with its recipe.

A method may have several rows in one family, each for step counts of its own (SDXL-Lightning ships a network for each
of 1, 2, 4 and 8 steps). A method without public weights has a row with `repo` None that says so.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from methods.checkpoints.families import FAMILIES
from methods.errors import UsageError
from methods.interface import Recipe

Kind = Literal["pipeline", "unet", "lora", "transformer"]


@dataclass(frozen=True)
class Checkpoint:
    """One released checkpoint.

    Attributes:
        method: The name of `bench list methods`.
        family: The architecture, a name of `methods.checkpoints.families`.
        kind: "pipeline" is a whole diffusers folder. The others are put into the pipeline `base`: "unet" and
            "transformer" replace its denoiser, a "lora" is added to it.
        repo: Hub id, None where no weights are public.
        filename: The file in `repo`; None is the whole folder (a pipeline, or a denoiser with its config.json).
        variant: What diffusers calls a variant: `model.<variant>.safetensors`.
        revision: Commit on the hub; None follows its main branch, and the first fetch records the commit.
        sha256: Of `filename`, where a source gives it.
        size_bytes: Of `filename`, or of the networks of a folder; None where no source was found.
        base: Hub id of the pipeline that a "unet", "transformer" or "lora" is put into.
        gated: The hub asks to accept the licence first.
        pickle: `filename` is a pickle: fetched by name alone, converted once, never read otherwise.
        recipe: How the model card samples it.
        steps: The step counts that its authors publish it for, best first.
        dtype: The half precision its card loads it in.
        runs: False for a row that is listed with its recipe but not run here.
        source: Where the recipe was read.
        unverified: What in this row no source at hand confirmed.
    """

    method: str
    family: str
    kind: Kind
    repo: str | None
    recipe: Recipe
    steps: tuple[int, ...]
    title: str
    paper: str
    arxiv: str | None
    licence: str
    filename: str | None = None
    variant: str | None = None
    revision: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    base: str | None = None
    gated: bool = False
    pickle: bool = False
    dtype: str = "float16"
    runs: bool = True
    note: str = ""
    source: str = ""
    unverified: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """`lightning@sdxl (4)`: what messages call this row."""
        return f"{self.method}@{self.family} ({','.join(str(count) for count in sorted(self.steps))})"

    @property
    def page(self) -> str | None:
        """Where the weights, and the licence to accept, are found on the hub."""
        return None if self.repo is None else f"https://huggingface.co/{self.repo}"


@cache
def all_rows() -> tuple[Checkpoint, ...]:
    """Every row, grouped by method."""
    from methods.checkpoints import adversarial, baselines, consistency, flow, matching, recent, unreleased

    groups = (baselines, adversarial, consistency, matching, flow, unreleased, recent)
    return tuple(row for group in groups for row in group.ROWS)


def rows(method: str | None = None, family: str | None = None) -> tuple[Checkpoint, ...]:
    """The rows of a method, of a family, or of both."""
    return tuple(
        row
        for row in all_rows()
        if (method is None or row.method == method) and (family is None or row.family == family)
    )


def find(method: str, family: str, num_inference_steps: int | None = None) -> Checkpoint:
    """The row of `method` in `family` that serves a step count: published for it, else allowed, else the first.

    Raises:
        UsageError: for an unknown family, or a method that has no row in it; the message names what there is.
    """
    check_family(family)
    found = rows(method, family)
    if not found:
        raise UsageError(_nothing(method, family))
    published = (row for row in found if num_inference_steps in row.steps)
    return next(published, None) or next((row for row in found if _allows(row, num_inference_steps)), found[0])


def check_family(family: str) -> None:
    """Nothing, where `family` is known.

    Raises:
        UsageError: with the nearest known name.
    """
    if family not in FAMILIES:
        near = difflib.get_close_matches(family, FAMILIES, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"--family {family!r} is not known{hint} (there are {', '.join(FAMILIES)})")


def _allows(row: Checkpoint, steps: int | None) -> bool:
    fewest, most = row.recipe.allowed_steps
    return steps is not None and fewest <= steps <= most


def _nothing(method: str, family: str) -> str:
    elsewhere = _names(row.family for row in rows(method))
    if elsewhere:
        return f"{method!r} has no checkpoint of family {family!r}; it has {elsewhere}"
    here = _names(row.method for row in rows(family=family) if row.repo is not None)
    return f"{method!r} has no released checkpoint in the table; family {family!r} has {here}"


def _names(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))
