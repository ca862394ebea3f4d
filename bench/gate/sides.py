"""The two sides of a gate: a tree of this project each, run in child processes that import from it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.errors import FewstepError
from bench.gate.latency import TOTAL
from bench.record import Record, read_records

VISITOR = Path(__file__).resolve().parents[1] / "latency" / "turns.py"
"""What is run in both trees to time them: the same file, head's own, so that both are timed alike."""


@dataclass(frozen=True)
class Settings:
    """What both sides are asked for: the options of `bench run`."""

    methods: tuple[str, ...]
    steps: tuple[int, ...]
    suite: str = "shapes"
    limit: int = 600
    device: str = "cpu"
    dtype: str = "float32"
    batch_size: int = 50
    seed: int = 0
    metrics: tuple[str, ...] | None = None

    @property
    def options(self) -> list[str]:
        """As the command line takes them."""
        found = ["--methods", ",".join(self.methods), "--steps", ",".join(str(count) for count in self.steps)]
        for name in ("suite", "limit", "device", "dtype", "batch_size", "seed"):
            found += [f"--{name.replace('_', '-')}", str(getattr(self, name))]
        return found + (["--metrics", ",".join(self.metrics)] if self.metrics else [])

    @property
    def cells(self) -> list[tuple[str, int]]:
        """Methods x steps, in the order in which they are timed."""
        return [(method, count) for method in self.methods for count in self.steps]


@dataclass(frozen=True)
class Side:
    """A tree, and what it is called in messages: `base` or `head`."""

    name: str
    tree: Path

    def run(self, settings: Settings, out: Path, log: Path) -> list[Record]:
        """The records of `bench run` in this tree; those there already are not measured again.

        Raises:
            FewstepError: where it leaves no records, with the last line it said.
        """
        out = out.resolve()  # the child's working folder is its tree
        command = [sys.executable, "-m", "bench", "run", *settings.options, "--out", str(out)]
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w", encoding="utf-8") as file:
            done = subprocess.run(
                command, cwd=self.tree, env=self._environment, stdout=file, stderr=subprocess.STDOUT, check=False
            )
        if done.returncode not in (0, 1) or not (out / "records").is_dir():
            raise FewstepError(f"{self.name} could not be measured: {_last_line(log)} (all of it: {log})")
        return list(read_records(out / "records"))

    def visitor(self, settings: Settings, log: Path) -> Visitor:
        """A process of this tree that times calls when it is asked to."""
        log.parent.mkdir(parents=True, exist_ok=True)
        config = {**asdict(settings), "cells": settings.cells, "tree": str(self.tree)}
        with log.open("w", encoding="utf-8") as file:
            process = subprocess.Popen(
                [sys.executable, "-P", str(VISITOR), json.dumps(config)],
                cwd=self.tree, env=self._environment,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True, encoding="utf-8",
            )  # fmt: skip
        return Visitor(self.name, process, log)

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.tree), "HF_HUB_OFFLINE": "1"}


@dataclass
class Visitor:
    """A child process that times cells of one side; used as a context, which ends it."""

    name: str
    process: subprocess.Popen[str]
    log: Path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def ready(self) -> dict[int, float]:
        """Wait until it has loaded, then warm up: {cell: seconds of a call}, unsupported cells left out."""
        self._answer()
        return {int(cell): float(seconds) for cell, seconds in self._ask({"warm_up": True})["ready"].items()}

    def visit(self, cell: int, calls: int) -> Mapping[str, float]:
        """{stage: seconds} of `calls` calls (their lower quartile) of cell number `cell`, `total` among the stages."""
        found = self._ask({"cell": cell, "calls": calls})
        return {TOTAL: float(found["total"]), **{name: float(value) for name, value in found["stages"].items()}}

    def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
        except OSError as error:
            raise self._ended() from error
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        try:
            answer = json.loads(line)
        except ValueError:
            raise self._ended() from None
        if not isinstance(answer, dict):
            raise self._ended()
        return answer

    def _ended(self) -> SideEndedError:
        return SideEndedError(self.name, f"{self.name} cannot be timed: {_last_line(self.log)} (all of it: {self.log})")


class SideEndedError(FewstepError):
    """A side's process ended, or said something else than a time."""

    def __init__(self, side: str, message: str) -> None:
        super().__init__(message)
        self.side = side


Tell = Callable[[str], None]


def _last_line(log: Path) -> str:
    lines: Sequence[str] = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.is_file() else ()
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
