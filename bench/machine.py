"""The machine this runs on, as far as it can be known without torch. No names of hosts or users."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path
from typing import Any


def machine_facts() -> dict[str, Any]:
    """Processor, cores this process may use, memory and platform: what can be known without torch."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": _memory_bytes(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


@cache
def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
