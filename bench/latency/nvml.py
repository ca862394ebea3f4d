"""Energy and neighbours of an NVIDIA GPU, from its driver, where `nvidia-ml-py` is installed. Never needed."""

from __future__ import annotations

import os
from typing import Any

from bench.latency.neighbours import Neighbour, program_name


class Nvml:
    """One GPU. `open` gives None where there is nothing to ask, and `missing` says why."""

    def __init__(self, library: Any, handle: Any) -> None:
        self._library, self._handle = library, handle

    def joules(self) -> float | None:
        """Energy since the driver was loaded; None on GPUs that do not count it (before Volta)."""
        try:
            return float(self._library.nvmlDeviceGetTotalEnergyConsumption(self._handle)) / 1000
        except self._library.NVMLError:
            return None

    def neighbours(self) -> list[Neighbour]:
        """Other processes that hold this GPU, for computing or drawing, in the order of their numbers."""
        found: set[int] = set()
        for ask in ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses"):
            try:
                found |= {int(process.pid) for process in getattr(self._library, ask)(self._handle)}
            except self._library.NVMLError:
                continue
        return [Neighbour(program_name(pid), None) for pid in sorted(found - {os.getpid()})]


def open_nvml(uuid: str, library: Any = None) -> tuple[Nvml | None, str]:
    """The GPU with that UUID (as torch prints it), or None; and why there is none.

    Args:
        uuid: of the device that torch uses; its number may differ from the driver's.
        library: what is asked, `pynvml` where None.
    """
    if library is None:
        library = _installed()
    if library is None:
        return None, "nvidia-ml-py is not installed"
    try:
        library.nvmlInit()
        handle = library.nvmlDeviceGetHandleByUUID(uuid if uuid.startswith("GPU-") else f"GPU-{uuid}")
    except library.NVMLError as error:
        return None, f"NVML does not answer: {error}"
    return Nvml(library, handle), ""


def _installed() -> Any:
    try:
        import pynvml
    except ImportError:
        return None
    return pynvml
