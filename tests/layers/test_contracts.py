"""The import contracts of pyproject.toml hold, and each of them sees an import that it forbids."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PLANTED = {
    "downward": ("methods/errors.py", "import bench.judging"),
    "measuring": ("bench/metrics/statistics.py", "import bench.suites.info"),
    "harness": ("bench/record.py", "import bench.runner"),
    "siblings": ("methods/add/__init__.py", "import methods.lcm"),
    "torch-free": ("bench/record.py", "import torch"),
    "report": ("bench/report/frame.py", "import bench.metrics.statistics"),
}


def lint_imports(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"]
    return subprocess.run([*command, "--no-cache", *options], cwd=folder, capture_output=True, text=True, check=False)


def test_the_contracts_hold() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{len(PLANTED)} kept, 0 broken" in result.stdout


@pytest.mark.parametrize("contract", PLANTED)
def test_a_forbidden_import_is_seen(contract: str, tmp_path: Path) -> None:
    for package in ("bench", "methods"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=_all_but_python)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    file, line = PLANTED[contract]
    with (tmp_path / file).open("a", encoding="utf-8") as source:
        source.write(f"\n{line}\n")
    result = lint_imports(tmp_path, "--contract", contract)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "1 broken" in result.stdout


def _all_but_python(folder: str, names: list[str]) -> list[str]:
    kept = [name for name in names if name.endswith(".py") or Path(folder, name).is_dir()]
    return [name for name in names if name not in kept or name == "__pycache__"]
