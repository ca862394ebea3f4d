"""Records, checks and pairs made up for the gate's tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bench.gate.latency import DENOISER, TOTAL, Floor, Pair
from bench.gate.verdicts import Check
from bench.record import Cell, Quantity, Record

RECIPE = {"scheduler": "EulerAncestralDiscreteScheduler", "scheduler_config": {"timestep_spacing": "trailing"}}
MACHINE = {"cpu": "a processor", "cores": 2, "threads": 2, "gpu": None, "platform": "Linux x86_64"}
FLOOR = {TOTAL: Floor(0.001, 6), DENOISER: Floor(0.001, 6)}


def record(
    scores: Mapping[str, Sequence[float]] | None = None,
    *,
    method: str = "add",
    steps: int = 1,
    latency: float = 0.02,
    nfe: float = 1.0,
    **changes: object,
) -> Record:
    """An ok record with scores image by image, a latency and a count of evaluations."""
    scores = scores if scores is not None else {"clip-shapes": clip(0)}
    n = len(next(iter(scores.values()), ()))
    cell = Cell("shapes", method, steps, None, 0, max(n, 1), "cpu", "float32", 50)
    quantities = [
        Quantity(name, float(np.mean(values)), 0.0, 0.0, n, "", not name.startswith("fd"), {"prompts": "p", "n": n})
        for name, values in scores.items()
    ]
    quantities.append(Quantity("latency_s", latency, latency * 0.99, latency * 1.01, 20, "s", False, {}))
    quantities.append(Quantity("nfe", nfe, nfe, nfe, 1, "", False, {"counted": "rows"}))
    provenance = {
        "code": {"commit": "0" * 40, "dirty": False},
        "machine": dict(MACHINE),
        "versions": {"torch": "2.14.1", "fewstep-bench": "0.1.0"},
        "numerics": {"tf32": False},
        "recipe": RECIPE,
        "metrics": list(scores),
    }
    values = {name: tuple(float(x) for x in row) for name, row in scores.items()}
    made = Record(cell, "ok", None, tuple(quantities), values, {}, provenance)
    return replace(made, **changes)  # type: ignore[arg-type]


def clip(seed: int, n: int = 400, change: float = 0.0, spread: float = 0.0) -> list[float]:
    """CLIP-like scores; every seed has the same prompts, `change` and `spread` are what head does to them."""
    shared = 75 + 8 * np.random.default_rng(1).standard_normal(n)
    moved = change + spread * np.random.default_rng((2, seed)).standard_normal(n)
    return list(shared + moved)


def pairs(rng: np.random.Generator, slower: float = 1.0, n: int = 16, noise: float = 0.01) -> list[Pair]:
    """Pairs of a quiet machine, head slower in all its stages."""
    times = 0.02 * np.exp(noise * rng.standard_normal((n, 2)))
    return [
        Pair({TOTAL: one, DENOISER: one / 2, "decoder": one / 4}, {TOTAL: k, DENOISER: k / 2, "decoder": k / 4})
        for one, k in zip(times[:, 0], times[:, 1] * slower, strict=True)
    ]


def check(**changes: object) -> Check:
    """A check about which nothing is known."""
    plain = Check("shapes/add-1", "quality", "fd-shapes", "FD-shapes", "", 0.02, -0.05, 0.09, 0.3)
    return replace(plain, **changes)  # type: ignore[arg-type]
