"""What made a record: code, versions, machine, weights. No names of hosts or users and no absolute paths."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.machine import machine_facts
from methods.hub.hashes import sha256_of

PACKAGES = (
    "fewstep-bench",
    "torch",
    "diffusers",
    "transformers",
    "safetensors",
    "numpy",
    "scipy",
    "torchmetrics",
    "clean-fid",
    "pillow",
)
_ROOT = Path(__file__).resolve().parent.parent


def code() -> dict[str, Any]:
    """`commit` of the checkout this package runs from, None outside one, and whether its code differs from it."""
    tracked = _git("ls-files", "--error-unmatch", "bench/provenance.py")
    if tracked is None:
        return {"commit": None, "dirty": None}
    changes = _git("status", "--porcelain", "--", "bench", "methods")
    return {"commit": _git("rev-parse", "HEAD"), "dirty": None if changes is None else bool(changes)}


def versions() -> dict[str, str | None]:
    """Installed versions of the packages that can move a number, and Python's."""
    return {"python": platform.python_version(), **installed(PACKAGES)}


def installed(packages: Iterable[str]) -> dict[str, str | None]:
    """The installed version of each package, None where there is none."""
    return {name: _version(name) for name in packages}


def machine(device: str) -> dict[str, Any]:
    """Processor, cores this process may use, threads torch uses, memory, and the GPU where one is used."""
    import torch

    gpu = torch.cuda.get_device_name() if device == "cuda" else None
    return {**machine_facts(), "threads": torch.get_num_threads(), "gpu": gpu}


def folder_hash(folder: Path) -> str:
    """sha256 over names and contents of all files under `folder`, through links; hidden ones do not count.

    Of a single file it is the sha256 of its content.
    """
    if folder.is_file():
        return file_hash(folder)
    files: dict[str, Path] = {}
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = [Path(parent) / name for name in names if not name.startswith(".")]
        files.update((path.relative_to(folder).as_posix(), path) for path in paths)
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{file_hash(files[name])}\n".encode())
    return digest.hexdigest()


def file_hash(path: Path) -> str:
    """sha256 of one file."""
    return sha256_of(path)


def plain(value: Any) -> Any:
    """`value` as JSON data: dataclasses and mappings become dicts with string keys, sequences become lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)


def _git(*args: str) -> str | None:
    try:
        command = ["git", "-C", str(_ROOT), *args]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
