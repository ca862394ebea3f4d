"""How long the command line takes to answer, beside an interpreter that does nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

COMMANDS = {
    "python": ["-c", "pass"],
    "list": ["-m", "bench", "list", "--json"],
    "help": ["-m", "bench", "run", "-h"],
    "doctor": ["-m", "bench", "doctor"],
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.benchmark(group="start")
def test_start(benchmark: BenchmarkFixture, name: str) -> None:
    result = benchmark(
        subprocess.run, [sys.executable, *COMMANDS[name]], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert result.returncode == 0, result.stderr
