"""A report over thousands of cells: seconds and memory beside those of a tenth of it, and no torch."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pytest_benchmark.fixture import BenchmarkFixture

from bench.record import Cell, Quantity, Record, write_record
from bench.strips import write_strip

ROOT = Path(__file__).resolve().parents[2]
STEPS = (1, 2, 4, 8)
SEEDS = 5
GUIDANCE = (None, 1.5, 3.0, 5.0, 7.5)
IMAGES = 10
MOST_BYTES = 1.5 * 2**30
RUN = """
import json, sys
from pathlib import Path
from bench.report.build import build
code = build(Path(sys.argv[1]), Path(sys.argv[2]), check=False)
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
peak = 1024 * int(status["VmHWM"].split()[0])  # ru_maxrss would have that of the process which started this one
sys.stderr.write(json.dumps({"code": code, "peak": peak, "torch": "torch" in sys.modules}))
"""


def cell_record(method: str, steps: int, guidance: float | None, seed: int, rng: random.Random) -> Record:
    """A cell with the quantities of the embedded suite and ten images."""
    cell = Cell("shapes", method, steps, guidance, seed, IMAGES, "cpu", "float32", 10)
    base = rng.uniform(1, 20)
    values = {
        name: tuple(float(f"{rng.gauss(base, 3):.6g}") for _ in range(IMAGES)) for name in ("fd-shapes", "clip-shapes")
    }
    values["attributes"] = tuple(100.0 * (rng.random() < 0.6) for _ in range(IMAGES))
    made = [
        Quantity(
            name,
            sum(v) / IMAGES,
            sum(v) / IMAGES - 1,
            sum(v) / IMAGES + 1,
            IMAGES,
            "",
            name != "fd-shapes",
            {"judge": "a"},
        )
        for name, v in values.items()
    ]
    latency = 0.004 * steps * rng.uniform(1, 2)
    made += [
        Quantity("latency_s", latency, 0.97 * latency, 1.03 * latency, 20, "s", False, {"threads": 2}),
        Quantity("nfe", float(steps), float(steps), float(steps), 1, "", False, {}),
    ]
    about = {
        "command": f"python -m bench run --methods {method}",
        "machine": {"cpu": "a", "cores": 2},
        "versions": {"torch": "2"},
    }
    return Record(cell, "ok", None, tuple(made), values, {"latency_s": tuple(rng.random() for _ in range(20))}, about)


def write_run(folder: Path, methods: int) -> int:
    """A run folder of `methods` x 100 cells of 10 images each; how many cells that is. Pictures are few, and linked."""
    rng = random.Random(0)
    pixels = np.random.default_rng(0)
    folder.mkdir(parents=True)
    pictures = [pixels.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(IMAGES)]
    write_strip(pictures, folder / "strip.webp")
    for index, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{index}.png")
    (folder / "sheets").mkdir()
    count = 0
    for method in range(methods):
        for seed in range(SEEDS):
            for steps in STEPS:
                for guidance in GUIDANCE:
                    record = cell_record(f"method-{method:02}", steps, guidance, seed, rng)
                    write_record(record, folder / "records")
                    name = record.cell.name
                    os.link(folder / "strip.webp", folder / "sheets" / f"{name}.webp")
                    (folder / "images" / name).mkdir(parents=True)
                    for index in range(IMAGES):
                        os.link(folder / f"{index}.png", folder / "images" / name / f"{index:05d}.png")
                    count += 1
    prompts = [{"id": f"{n:05d}", "text": f"prompt {n}", "category": "even" if n % 2 else "odd"} for n in range(IMAGES)]
    (folder / "prompts.json").write_text(json.dumps(prompts))
    return count


@pytest.mark.parametrize("methods", [5, 50], ids=["500-cells", "5000-cells"])
@pytest.mark.benchmark(group="report")
def test_report(benchmark: BenchmarkFixture, tmp_path: Path, methods: int) -> None:
    cells = write_run(tmp_path / "run", methods)
    assert cells == 100 * methods

    def report() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", RUN, str(tmp_path / "run"), str(tmp_path / "report")],
            capture_output=True, text=True, check=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip

    result = benchmark.pedantic(report, rounds=1, iterations=1)
    said = json.loads(result.stderr)
    benchmark.extra_info |= said
    assert said["code"] == 0
    assert not said["torch"]
    assert said["peak"] < MOST_BYTES
    page = (tmp_path / "report" / "index.html").stat().st_size
    benchmark.extra_info["page"] = page
    assert page < 3e6
