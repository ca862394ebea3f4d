"""A pickle that the table names, made into safetensors once: read by a process of its own that can build tensors only.

The file's sha256 has been compared with the hub's before; `torch.load(weights_only=True)` runs no code from it, and
the process it runs in has nothing to lose.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from methods.errors import WeightsError
from methods.hub.hashes import sha256_of
from methods.hub.headers import read_header
from methods.hub.lock import changed, check_recorded
from methods.hub.places import cache_folder

_READER = Path(__file__).resolve().parents[1] / "unpickle.py"


def converted_file(digest: str) -> Path:
    """Where the safetensors made of the pickle with this sha256 lie."""
    return cache_folder() / "converted" / f"{digest}.safetensors"


def convert_pickle(path: Path, digest: str) -> Path:
    """The safetensors made of `path`, whose sha256 must be `digest`; made at the first call, checked at every other.

    Raises:
        WeightsError: where the file is another one, or holds anything but tensors.
    """
    target = converted_file(digest)
    if not target.exists():
        if (found := sha256_of(path)) != digest:
            raise changed(str(path), digest, found)
        _run_reader(path, target)
    read_header(target)
    check_recorded(f"converted/{digest}", target)
    return target


def _run_reader(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    try:
        command = [sys.executable, "-I", str(_READER), str(path.resolve()), str(partial)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            reason = next(reversed(done.stderr.strip().splitlines()), f"exit status {done.returncode}")
            raise WeightsError(f"{path.name}: cannot be read as weights alone: {reason}")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
