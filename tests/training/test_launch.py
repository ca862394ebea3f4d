"""Launched processes stop with the command that launched them, and hold its folder where that was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.lock import FolderLock

LAUNCHER = """
import pathlib, signal, sys, time
def stop(*_):
    time.sleep(0.2)  # as one that stops its processes first
    pathlib.Path("stopped").touch()
    sys.exit(1)
signal.signal(signal.SIGTERM, stop)
pathlib.Path("started").write_text(str(__import__("os").getpid()))
time.sleep(60)
"""
COMMAND = """
import os, signal, sys
from pathlib import Path
from bench.lock import FolderLock
from bench.signals import termination_stops
from bench.training.launch import launched
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with Ctrl-C ignored
with termination_stops(), FolderLock(Path("stage")) as lock:
    launched([sys.executable, "-c", sys.argv[1]], os.environ, lock)
"""
PATIENCE_S = 60


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


@pytest.fixture
def command(tmp_path: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    started = subprocess.Popen(
        [sys.executable, "-c", COMMAND, LAUNCHER], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL
    )
    until(lambda: (tmp_path / "started").is_file() and bool((tmp_path / "started").read_text()))
    return started


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_command_waits_until_its_processes_stopped(
    command: subprocess.Popen[bytes], tmp_path: Path, number: signal.Signals
) -> None:
    command.send_signal(number)
    assert command.wait(PATIENCE_S) != 0
    assert (tmp_path / "stopped").is_file()
    with FolderLock(tmp_path / "stage"):
        pass


def test_a_killed_command_leaves_the_folder_to_its_processes(command: subprocess.Popen[bytes], tmp_path: Path) -> None:
    command.kill()
    command.wait(PATIENCE_S)
    with pytest.raises(UsageError, match="another command"), FolderLock(tmp_path / "stage"):
        pass
    os.kill(int((tmp_path / "started").read_text()), signal.SIGTERM)
    until((tmp_path / "stopped").is_file)

    def free() -> bool:
        try:
            with FolderLock(tmp_path / "stage"):
                return True
        except UsageError:
            return False

    until(free)
