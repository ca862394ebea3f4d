"""How much memory a pipeline's weights take, from the headers of its files: known before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from methods.errors import FewstepError
from methods.hub.fetch import gigabytes
from methods.hub.headers import BYTES, TensorHeader, read_header
from methods.hub.select import MODEL_INDEX

OFFLOADS = ("none", "model", "sequential")
"""Where weights wait: on the device; on the host, one component at a time on the device; one layer at a time."""

WIDTHS = {"float32": 4, "float16": 2, "bfloat16": 2}


def weights_bytes(folder: Path, dtype: str) -> dict[str, int]:
    """Component -> bytes of its weights in `dtype`, of every component of a pipeline folder that has any."""
    sizes: dict[str, int] = {}
    for part in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = sorted(part.glob("*.safetensors"))
        if files:
            sizes[part.name] = sum(_bytes(tensor, dtype) for file in files for tensor in read_header(file).values())
    return sizes


def needed_bytes(sizes: Mapping[str, int], offload: str = "none") -> int:
    """Bytes that must fit at once: all components, or with offloading the largest one ("model") or a part of it."""
    if offload == "sequential":
        return max(sizes.values(), default=0) // 8
    return max(sizes.values(), default=0) if offload == "model" else sum(sizes.values())


def check_memory(folder: Path, dtype: str, device: str, free: int | None, offload: str = "none") -> None:
    """Refuse a pipeline whose weights alone do not fit into the `free` bytes of `device`; None means not known.

    Raises:
        FewstepError: with the size of each component and what would fit.
    """
    sizes = weights_bytes(folder, dtype)
    needed = needed_bytes(sizes, offload)
    if free is None or needed <= free:
        return
    parts = ", ".join(f"{name} {gigabytes(size)}" for name, size in sizes.items())
    raise FewstepError(
        f"{folder.name}: the weights take {gigabytes(needed)} in {dtype} ({parts}), {gigabytes(free)} are free on"
        f" {device}; {_advice(folder, dtype, device, offload)}"
    )


def free_host_bytes() -> int | None:
    """Memory that this process may still take: of the machine, and of its control group where it has a limit."""
    free = [value for value in (_available(), _left_in_group()) if value is not None]
    return min(free, default=None)


def summary(folder: Path) -> str | None:
    """`the weights take 13.88 GB of memory in float32, 6.94 GB in float16`; None for no pipeline folder."""
    if not (folder / MODEL_INDEX).exists():
        return None
    full, half = (gigabytes(sum(weights_bytes(folder, dtype).values())) for dtype in ("float32", "float16"))
    return f"the weights take {full} of memory in float32, {half} in float16"


def _bytes(tensor: TensorHeader, dtype: str) -> int:
    return tensor.elements * (WIDTHS[dtype] if tensor.is_float else BYTES.get(tensor.dtype, 1))


def _advice(folder: Path, dtype: str, device: str, offload: str) -> str:
    options = []
    if dtype == "float32":
        half = weights_bytes(folder, "float16")
        options.append(f"--dtype float16 takes {gigabytes(needed_bytes(half, offload))}")
    if device == "cuda":
        sizes = weights_bytes(folder, dtype)
        others = OFFLOADS[OFFLOADS.index(offload) + 1 :]
        options.extend(f"--offload {name} {gigabytes(needed_bytes(sizes, name))}" for name in others)
    return ", ".join(options) or "free some memory"


def _available() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def _left_in_group() -> int | None:
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        used = int((group / "memory.current").read_text(encoding="ascii"))
        cached = _reclaimable(group / "memory.stat")
        return None if limit == "max" else max(0, int(limit) - used + cached)
    except (OSError, ValueError):
        return None


def _reclaimable(path: Path) -> int:
    """Pages of files in memory, which count as used and are given up when asked for."""
    for line in path.read_text(encoding="ascii").splitlines():
        if line.startswith("inactive_file "):
            return int(line.split()[1])
    return 0
