"""Train stages of the embedded suite for a study: what is finished is left, and two processes share the work."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from bench.suites.shapes.training.command import ordered, train_stage
from bench.suites.shapes.training.seeds import workshop
from bench.suites.shapes.training.students.ablation import FOLDER
from bench.training.lock import held
from bench.training.workshop import Workshop
from methods.distill.draws import Share


def seeded_shop(folder: Path, console: Console, seed: int) -> Workshop:
    """The training folder as repetition `seed` sees it, the rows of ablations being repeated too."""
    shop = workshop(folder, console, seed)
    return Workshop(shop.folder, console, seed, shop.repeated | {FOLDER})


def train_stages(shop: Workshop, targets: Iterable[str], processes: int = 1) -> None:
    """Train the targets and all they need, waiting for whatever another process is at."""
    for name in ordered(list(targets)):
        if not shop.finished(name):
            with held(shop.stage(name) / "lock", wait=True):
                train_stage(shop, name, processes, Share())
