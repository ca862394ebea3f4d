"""Who else uses the processor while it is timed. Names of programs only, no command lines and no users. No torch."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

LEAST_SHARE = 0.05
"""Of a core: a process below this is not named."""
PROC = Path("/proc")


@dataclass(frozen=True)
class Neighbour:
    """Another process: the cores it kept busy meanwhile, or None where it holds the GPU and its share is not known."""

    name: str
    cores: float | None


@dataclass(frozen=True)
class _Process:
    name: str
    parent: int
    seconds: float  # of processor time, user and system


class Watch:
    """`start`, timed work, then `neighbours`: the processes that used a core meanwhile, the busiest first.

    Only processes that this one can see count; a container hides those of others.
    """

    def __init__(self, proc: Path = PROC, clock: Callable[[], float] = time.monotonic) -> None:
        self._proc, self._clock = proc, clock
        self._before: Mapping[int, _Process] = {}
        self._since = 0.0

    def start(self) -> None:
        """Remember what each process has used so far."""
        self._before, self._since = _processes(self._proc), self._clock()

    def neighbours(self) -> list[Neighbour]:
        """The processes, this one and its descendants aside, that kept `LEAST_SHARE` of a core busy since `start`."""
        now, elapsed = _processes(self._proc), self._clock() - self._since
        if elapsed <= 0:
            return []
        own = _descendants(now, os.getpid())
        found = [
            Neighbour(process.name, round((process.seconds - _used(self._before, pid)) / elapsed, 2))
            for pid, process in now.items()
            if pid not in own
        ]
        busy = [item for item in found if item.cores is not None and item.cores >= LEAST_SHARE]
        return sorted(busy, key=lambda item: -(item.cores or 0.0))


def program_name(pid: int, proc: Path = PROC) -> str:
    """The name of a process, or its number where that is not shown."""
    try:
        return (proc / str(pid) / "comm").read_text(encoding="utf-8").strip()
    except OSError:
        return f"process {pid}"


def _used(before: Mapping[int, _Process], pid: int) -> float:
    return before[pid].seconds if pid in before else 0.0


def _processes(proc: Path) -> dict[int, _Process]:
    """All that can be seen; none where there is no such file system."""
    found = {}
    for folder in proc.glob("[0-9]*"):
        try:
            head, _, rest = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")
        except OSError:  # it ended meanwhile
            continue
        fields = rest.split()
        ticks = int(fields[11]) + int(fields[12])
        found[int(folder.name)] = _Process(head.partition("(")[2], int(fields[1]), ticks / _TICKS)
    return found


def _descendants(processes: Mapping[int, _Process], root: int) -> set[int]:
    found, size = {root}, 0
    while len(found) > size:
        size = len(found)
        found |= {pid for pid, process in processes.items() if process.parent in found}
    return found


_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
