"""The runs of Figure 11: the embedded suite's GAN again, each time truncated more."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

from bench.errors import FewstepError, WeightsError

GAN = "gan"
PSIS = (0.9, 0.7, 0.5, 0.3)
"""Beside 1, none: the published curves have four to nine points, whose truncations are not stated."""


def run_truncated(results: Path, place: list[str], run: Callable[[list[str]], int], weights: str | None = None) -> int:
    """Measure the GAN at each truncation that is missing below `results`, by `run`; the worst exit status.

    `weights` is the GAN's folder where it is not the suite's.

    Raises:
        FewstepError: where there is no such folder, or the suite has no GAN.
    """
    from bench.report.ledger.figure11 import FOLDER

    status = 0
    for psi in PSIS:
        out = results / FOLDER / f"{psi:g}"
        if any((out / "records").glob("*.json")):
            continue
        with tempfile.TemporaryDirectory() as scratch:
            folder = truncated(checkpoint() if weights is None else _given(weights), psi, Path(scratch) / GAN)
            command = ["--methods", GAN, "--steps", "1", "--weights", f"{GAN}={folder}", "--out", str(out), *place]
            sys.stderr.write(f"python -m bench run {' '.join(command)}\n")
            status = max(status, run(command))
    return status


def checkpoint() -> Path:
    """The folder of the suite's GAN.

    Raises:
        FewstepError: where it has none.
    """
    from bench.registry import make_suite
    from bench.suites.interface import Suite

    try:
        return cast(Suite, make_suite("shapes", None)).checkpoint(GAN)
    except WeightsError as error:
        raise FewstepError(f"figure11: {error}") from error


def _given(weights: str) -> Path:
    folder = Path(weights)
    if not folder.is_dir():
        raise FewstepError(f"figure11: --weights {GAN}={weights}: there is no folder {weights}")
    return folder


def truncated(folder: Path, psi: float, target: Path) -> Path:
    """A copy of a GAN's folder whose recipe has another truncation.

    Raises:
        WeightsError: where it has no recipe.
    """
    from methods.gan import PSI
    from methods.recipes import read_recipe, write_recipe

    shutil.copytree(folder, target)
    recipe = read_recipe(target)
    if recipe is None:
        raise WeightsError(f"{folder}: has no recipe.json; train the GAN again")
    write_recipe(target, replace(recipe, scheduler_config={**recipe.scheduler_config, PSI: psi}))
    return target
