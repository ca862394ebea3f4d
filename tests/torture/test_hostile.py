"""Hostile input: a clear line and the right exit status, no traceback, nothing written elsewhere.

A sample of some 50 inputs here, 500 and more with `tox -e torture`, which also lets atheris look for itself.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.cli import main, shown
from methods.hub.places import CACHE_VARIABLE
from tests.harness.fakes import Control
from tests.torture.hostile import TEXTS, inputs
from tests.torture.targets import TARGETS

FEW, MANY = 2, 25
ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")
"""What a terminal acts on."""


def check(command: Callable[[], int], capfd: pytest.CaptureFixture[str], place: Path) -> None:
    """Run `command` and look at all that it may not do."""
    capfd.readouterr()
    status = shown(command)
    told = capfd.readouterr()
    assert status in (0, 1, 2)
    assert "Traceback" not in told.err + told.out
    assert not ACTING.search(told.err + told.out)
    if status != 0:
        errors = [line for line in told.err.splitlines() if line.startswith("error: ")]
        assert len(errors) <= 1
        assert all(20 < len(line) < 2100 for line in errors)
    assert not (place / "owned").exists()
    assert not Path("owned").exists()


@pytest.mark.parametrize("examples", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", TARGETS)
def test_parsers_refuse_what_is_hostile(
    name: str, examples: int, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "in"))

    @settings(max_examples=examples, derandomize=True, deadline=None, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(inputs(name))
    def attempt(content: bytes) -> None:
        folder = tmp_path / "in"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()

        def parse() -> int:
            TARGETS[name](content, folder)
            return 0

        check(parse, capfd, tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["in"]

    attempt()


OPTIONS = ("--methods", "--steps", "--suite", "--out", "--limit", "--device", "--dtype", "--batch-size", "--seed",
           "--metrics", "--guidance-scale", "--weights", "--metric-weights", "--family", "--offload", "--prompts",
           "--coco", "--parti", "--images-per-prompt", "--nonsense")  # fmt: skip


@pytest.mark.parametrize("examples", [FEW * 3, pytest.param(MANY * 4, marks=pytest.mark.slow)])
def test_the_command_line_refuses_what_is_hostile(
    examples: int, toy: Control, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    usual = ["run", "--suite", "toy", "--methods", "add", "--steps", "1", "--device", "cpu", "--limit", "2"]
    value = st.sampled_from(
        [text.replace("\0", "").replace("\ud800", "\udcf0") for text in TEXTS if text != "~nobody/x"]
    )

    @settings(max_examples=examples, derandomize=True, deadline=None, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.lists(st.tuples(st.sampled_from(OPTIONS), value), min_size=1, max_size=2))
    def attempt(options: list[tuple[str, str]]) -> None:
        told = [(name, text if name != "--out" else text.replace("/", "").replace("..", "")) for name, text in options]
        command = [*usual, "--out", str(tmp_path / "out"), *(f"{name}={text}" for name, text in told)]
        check(lambda: main(command), capfd, tmp_path)

    attempt()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
@pytest.mark.parametrize("name", ["record", "prompts.csv", "safetensors", "shard", "image", "weights option"])
def test_atheris_finds_nothing(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.torture.atheris_fuzz", name, str(tmp_path), "-runs=2000", "-seed=1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "DONE" in done.stderr or "Done" in done.stderr
