"""Synthetic results for the tests of the report: records with known numbers and strips of flat-coloured images."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.record import Cell, Quantity, Record, write_record
from bench.report.build import build as build_report

PROMPTS = ("a large red circle", "a <script>alert(1)</script> shape", "עיגול אדום גדול", "cost $5 & 100 % of a_b")
"""Ordinary, markup, right to left, and what LaTeX and matplotlib would read as mathematics."""


def cell(method: str = "add", steps: int = 1, **changes: Any) -> Cell:
    """A cell of the embedded suite."""
    settings: dict[str, Any] = {
        "suite": "shapes", "method": method, "num_inference_steps": steps, "guidance_scale": None, "seed": 0,
        "limit": 40, "device": "cpu", "dtype": "float32", "batch_size": 20,
    }  # fmt: skip
    return Cell(**(settings | changes))


def quantity(
    name: str = "fd-shapes",
    value: float = 10.0,
    half: float = 1.0,
    *,
    higher: bool = False,
    unit: str = "",
    **protocol: str,
) -> Quantity:
    """`value` with the interval value - half .. value + half."""
    return Quantity(name, value, value - half, value + half, 40, unit, higher, {"extractor": "recogniser", **protocol})


def record(
    method: str = "add",
    steps: int = 1,
    quantities: tuple[Quantity, ...] = (),
    per_image: dict[str, tuple[float, ...]] | None = None,
    **changes: Any,
) -> Record:
    """A measured cell."""
    provenance = {"command": f"python -m bench run --methods {method} --steps {steps} --force", "commit": "0" * 40}
    return Record(cell(method, steps, **changes), "ok", None, quantities, per_image or {}, {}, provenance)


def missing(method: str, steps: int, status: str, reason: str) -> Record:
    """A cell that failed or is not supported."""
    return Record(cell(method, steps), status, reason, (), {}, {}, {})  # type: ignore[arg-type]


def measured(method: str, steps: int, fd: float, latency: float, attributes: float, rng: random.Random) -> Record:
    """A cell with every quantity that the embedded suite measures."""
    hits = tuple(float(rng.random() < attributes / 100) for _ in range(40))
    return record(
        method,
        steps,
        (
            quantity("fd-shapes", fd, 0.4),
            quantity("kid-shapes", fd / 1000, 0.002),
            quantity("clip-shapes", 32 - fd / 10, 0.2, higher=True),
            quantity("preference", 60 - fd, 3.0, higher=True, unit="%"),
            quantity("attributes", attributes, 2.5, higher=True, unit="%"),
            quantity("latency_s", latency, latency * 0.03, unit="s"),
            quantity("images_per_s", 1 / latency, 0.03 / latency, higher=True, unit="images/s"),
            quantity("peak_memory_bytes", 8e8, 0.0, unit="bytes"),
            quantity("nfe", float(steps), 0.0),
        ),
        {"attributes": hits},
    )


def write_results(folder: Path, records: list[Record], prompts: tuple[str, ...] = PROMPTS, size: int = 8) -> Path:
    """`folder` as a run leaves it: records, strips and prompts."""
    rng = np.random.default_rng(0)
    for item in records:
        write_record(item, folder / "records")
        if item.status == "ok":
            strip = rng.integers(0, 256, (size, size * len(prompts), 3), dtype=np.uint8)
            (folder / "sheets").mkdir(parents=True, exist_ok=True)
            Image.fromarray(strip).save(folder / "sheets" / f"{item.cell.name}.png")
    listed = [{"id": f"{place:05d}", "text": text, "category": "one"} for place, text in enumerate(prompts)]
    (folder / "prompts.json").write_text(json.dumps(listed), encoding="utf-8")
    return folder


def example_records() -> list[Record]:
    """Two students and the teacher, one failed and one unsupported cell."""
    rng = random.Random(0)
    return [
        measured("add", 1, 9.0, 0.004, 90.0, rng),
        measured("add", 4, 7.0, 0.009, 94.0, rng),
        measured("lcm", 1, 21.0, 0.004, 61.0, rng),
        measured("lcm", 4, 11.0, 0.009, 88.0, rng),
        measured("sdxl", 25, 6.0, 0.09, 96.0, rng),
        missing("broken_one", 2, "failed", "weights | of 50 % <b>lost</b>"),
        missing("lcm", 50, "unsupported", "at most 8 steps"),
    ]


@pytest.fixture
def make() -> SimpleNamespace:
    """The builders of this file, for tests that need records of their own."""
    return SimpleNamespace(
        record=record, quantity=quantity, missing=missing, example_records=example_records, write_results=write_results,
        PROMPTS=PROMPTS,
    )  # fmt: skip


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report folder as the repository keeps it, built once: only to be read, or copied."""
    out = tmp_path_factory.mktemp("whole") / "reports"
    results = write_results(out / "results", example_records())
    assert build_report(results, out, check=False) == 0
    return out


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """The results of two cells with one score and no images, inside a report folder that is not built yet."""
    pair = [record("add", 1, (quantity(value=9.0, half=0.4),)), record("lcm", 1, (quantity(value=21.0, half=0.4),))]
    for item in pair:
        write_record(item, tmp_path / "reports" / "results" / "records")
    return tmp_path / "reports" / "results"


@pytest.fixture
def build() -> Callable[[Path], Path]:
    """Build the report of a results folder into its parent; gives that parent."""

    def run(results: Path) -> Path:
        assert build_report(results, results.parent, check=False) == 0
        return results.parent

    return run
