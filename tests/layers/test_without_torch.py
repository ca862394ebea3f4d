"""What lists, plans, compares and draws starts without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "torchvision", "torchmetrics", "diffusers", "transformers")

MODULES = {
    "bench.report": "import pkgutil, bench.report as p\n"
    "import importlib\n"
    "for m in pkgutil.walk_packages(p.__path__, 'bench.report.'): importlib.import_module(m.name)",
    "bench.record": "import bench.record",
    "bench.registry": "import bench.registry",
    "bench.plan": "import bench.plan",
    "bench.cli": "import bench.cli",
    "bench.latency": "import bench.latency.plan, bench.latency.resume, bench.latency.table, bench.latency.scaling\n"
    "import bench.latency.report",
    "methods.registry": "import methods.registry",
    "methods.checkpoints": "import methods.checkpoints.guard\n"
    "from methods.checkpoints.table import all_rows\n"
    "assert all_rows()",
}


def heavy_after(code: str) -> list[str]:
    """Which heavy packages a fresh interpreter has loaded after `code`."""
    report = f"import json, sys\nprint(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    result = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    found: list[str] = json.loads(result.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("module", MODULES)
def test_it_loads_without_torch(module: str) -> None:
    assert heavy_after(MODULES[module]) == []


@pytest.mark.parametrize("arguments", [[], ["methods"], ["metrics"], ["suites"], ["--json"]])
def test_bench_list_answers_without_torch(arguments: list[str]) -> None:
    code = f"from bench.cli import main\nassert main({['list', *arguments]!r}) == 0"
    assert heavy_after(code) == []


@pytest.mark.parametrize("arguments", [[], ["--methods", "lcm-lora", "--guidance-scale", "7"], ["--json"]])
def test_bench_doctor_answers_without_torch(arguments: list[str]) -> None:
    code = f"from bench.cli import main\nassert main({['doctor', *arguments]!r}) in (0, 1)"
    assert heavy_after(code) == []


def test_the_check_sees_torch() -> None:
    assert heavy_after("import methods.diffusion.schedule") == ["torch"]
