"""Repetitions of the students' trainings: the same recipe, data and teacher, from another seed."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from bench.training.workshop import Workshop

SEEDED = frozenset(
    ("start", "add", "lcm", "lcm-lora", "pd", "gd", "dmd2-4", "dmd2-1", "instaflow", "cfg-aware", "ufogen", "gan")
)
"""The stages that are trained again with another seed; judges, feature networks and teachers are not."""


def workshop(folder: Path, console: Console, seed: int = 0) -> Workshop:
    """The training folder as repetition `seed` sees it: students of its own, everything else shared."""
    return Workshop(folder, console, seed, SEEDED)
