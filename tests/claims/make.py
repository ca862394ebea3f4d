"""Records of two factors, training seeds and images, with known means and spreads."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.record import Cell, Quantity, Record

HIGHER = {"fd-shapes": False, "clip-shapes": True, "preference": True, "diversity": True}
PROMPTS = 100


def scores(
    mean: float,
    rng: np.random.Generator,
    *,
    seeds: int = 3,
    prompts: int = PROMPTS,
    of_seeds: float = 0.1,
    of_images: NDArray[np.float64] | None = None,
    of_both: float = 1.0,
) -> NDArray[np.float64]:
    """(seeds, prompts): `mean`, an effect a seed and one an image, and what neither explains."""
    by_image = np.zeros(prompts) if of_images is None else of_images
    return (
        mean
        + of_seeds * rng.standard_normal((seeds, 1))
        + by_image[None, :]
        + of_both * rng.standard_normal((seeds, prompts))
    )


def record(
    values: dict[str, NDArray[np.float64]],
    method: str = "add",
    steps: int = 1,
    *,
    rows: tuple[str, ...] = (),
    protocol: str = "one",
    **changes: Any,
) -> Record:
    """A measured cell with these scores, one number an image."""
    settings: dict[str, Any] = {
        "suite": "shapes", "method": method, "num_inference_steps": steps, "guidance_scale": None, "seed": 0,
        "limit": PROMPTS, "device": "cpu", "dtype": "float32", "batch_size": 50,
    }  # fmt: skip
    quantities = tuple(
        Quantity(
            name,
            float(row.mean()),
            float(row.mean()) - 1,
            float(row.mean()) + 1,
            row.size,
            "",
            HIGHER[name],
            {"judge": protocol},
        )
        for name, row in values.items()
    )
    per_image = {name: tuple(float(value) for value in row) for name, row in values.items()}
    training = {"rows": list(rows), "seconds": 1.0, "images": 2, "teacher_evaluations": 4}
    about = {"command": "python -m bench ablate", "training": training} if rows or "snapshot" in changes else {}
    return Record(Cell(**(settings | changes)), "ok", None, quantities, per_image, {}, about)


def trainings(
    tables: dict[str, NDArray[np.float64]], method: str = "add", steps: int = 1, **changes: Any
) -> list[Record]:
    """A record a training seed: row k of each table is that of seed k."""
    seeds = len(next(iter(tables.values())))
    return [
        record({name: rows[seed] for name, rows in tables.items()}, method, steps, train_seed=seed, **changes)
        for seed in range(seeds)
    ]


def row(name: str, tables: dict[str, NDArray[np.float64]], rows: tuple[str, ...] = ()) -> list[Record]:
    """A row of the ablations from as many seeds as the tables have."""
    return trainings(tables, ablation=name, rows=rows or (name,))
