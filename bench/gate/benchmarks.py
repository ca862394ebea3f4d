"""Results of tests/speed, base against head: files of `pytest --benchmark-json`, made in turn."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.gate.latency import TOTAL, Floor, Pair, Timed
from bench.gate.verdicts import Check

FEWEST = 10
"""Pairs of files from which a test can tell anything, after correction over some benchmarks."""


def read_benchmarks(path: Path) -> dict[str, float]:
    """{name: median seconds of a round} of one file.

    Raises:
        UsageError: where it is no such file.
    """
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
        found = {str(item["fullname"]): float(item["stats"]["median"]) for item in data["benchmarks"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"{path} is no file of `pytest --benchmark-json` ({type(error).__name__}: {error})") from error
    bad = [name for name, seconds in found.items() if not (math.isfinite(seconds) and seconds > 0)]
    if bad:
        raise UsageError(f"{path}: the median of {bad[0]} is no time")
    return found


def benchmark_checks(base: Sequence[Path], head: Sequence[Path], floors: Mapping[str, Floor]) -> list[Check]:
    """One check a benchmark that every file has; files at the same place are a pair.

    With fewer than `FEWEST` pairs nothing can be told, and the change is only reported.

    Raises:
        UsageError: where a file cannot be read, there are not as many of each side, or they share no benchmark.
    """
    if len(base) != len(head) or not base:
        raise UsageError(f"{len(base)} files of base and {len(head)} of head; give as many of each, in the order made")
    sides = [[read_benchmarks(path) for path in paths] for paths in (base, head)]
    shared = [name for name in sides[0][0] if all(name in found for side in sides for found in side)]
    if not shared:
        raise UsageError("the files share no benchmark")
    checks = []
    for name in shared:
        timed = Timed(f"speed/{name.rpartition('::')[2]}", floors, most=1)
        pairs = zip(*sides, strict=True)
        timed.add([Pair({TOTAL: one[name]}, {TOTAL: other[name]}) for one, other in pairs])
        checks.extend(timed.checks())
    return checks if len(base) >= FEWEST else [_reported(check, len(base)) for check in checks]


def _reported(check: Check, pairs: int) -> Check:
    why = f"{pairs} pair{'' if pairs == 1 else 's'} of files; from {FEWEST} on it is gated"
    return replace(check, gated=False, note=why)
