"""Peak memory while something runs: the allocator's on CUDA, the process's resident set on a CPU."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from pathlib import Path

import torch


class PeakMemory:
    """`start`, work, then `bytes`. `protocol` says what the number covers."""

    def __init__(self, device: str) -> None:
        self._cuda = device == "cuda"
        self._resets = False

    def start(self) -> None:
        """Begin a new peak, where the system can forget the old one."""
        if self._cuda:
            torch.cuda.reset_peak_memory_stats()
            return
        try:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # Linux: forget the peak resident set
            self._resets = True
        except OSError:
            self._resets = False

    def bytes(self) -> int:
        """The peak since `start`, or since the process began where that cannot be reset."""
        if self._cuda:
            return int(torch.cuda.max_memory_allocated())
        return _peak_resident() if self._resets else _lifetime_peak()

    @property
    def protocol(self) -> str:
        if self._cuda:
            return "CUDA allocator, method and judges loaded"
        return "resident set of the process" + ("" if self._resets else " since it began")


def give_back() -> None:
    """Give pages that are free inside the heap back to the system, where the C library (glibc) can.

    Buffers of some megabytes that come and go leave holes between small objects that stay; without this a process that
    keeps nothing but mapped files grows as if it kept their content.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _peak_resident() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return _lifetime_peak()


def _lifetime_peak() -> int:
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
