"""A whole pipeline in one file, as sd_xl_turbo_1.0.safetensors is: its networks, made into the files of a folder once.

diffusers translates the names (`from_single_file`); which networks those are is read in the configurations of the base
that it is put onto, and never guessed. Scheduler and tokenizers are the base's: such a file holds none.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from methods.errors import WeightsError
from methods.hub.check import read_object
from methods.hub.fetch import SPARE_BYTES, gigabytes
from methods.hub.fit import DENOISER_PREFIX, check_dtypes
from methods.hub.hashes import sha256_of
from methods.hub.headers import TensorHeader, read_header
from methods.hub.lock import check_recorded
from methods.hub.making import make_folder
from methods.hub.places import cache_folder
from methods.hub.select import LEFT_OUT, MODEL_INDEX

_READER = Path(__file__).resolve().parents[1] / "unfold.py"
_PREFIXES = {"unet": DENOISER_PREFIX, "vae": "first_stage_model."}
"""Where the networks lie of which every tensor is translated into one."""


def networks_of(path: Path, base: Path) -> dict[str, Path]:
    """Place in a pipeline folder -> file, of all weights in `path`; made at the first call, checked at every other.

    Raises:
        WeightsError: where it does not fit `base`, or the cache cannot be written.
    """
    folder = cache_folder() / "unfolded" / _name(path, base)
    if not folder.is_dir():
        _make(path, base, folder)
    found = {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*.safetensors"))}
    for name, file in found.items():
        check_recorded(f"unfolded/{folder.name}/{name}", file)
    return found


def _name(path: Path, base: Path) -> str:
    """What the networks depend on: the file, and the configurations by which it is read."""
    digest = hashlib.sha256(sha256_of(path).encode())
    for config in sorted(base.glob("*/config.json")):
        digest.update(config.parent.name.encode() + config.read_bytes())
    return f"{path.stem[:60]}-{digest.hexdigest()[:16]}"


def _make(path: Path, base: Path, folder: Path) -> None:
    header = read_header(path)
    check_dtypes(header, str(path))
    _check_counts(path, base, header)
    _check_disk(path, folder.parent)
    make_folder(folder, lambda partial: _run_reader(path, base, partial, header))


def _check_disk(path: Path, folder: Path) -> None:
    while not folder.exists():
        folder = folder.parent
    needed, free = path.stat().st_size + SPARE_BYTES, shutil.disk_usage(folder).free
    if needed > free:
        raise WeightsError(
            f"{path}: its networks take {gigabytes(needed)} in {folder}, but {gigabytes(free)} are free;"
            " free some, or set FEWSTEP_CACHE to another disk"
        )


def _run_reader(path: Path, base: Path, folder: Path, header: Mapping[str, TensorHeader]) -> None:
    stored = next((tensor.dtype for name, tensor in header.items() if name.startswith(DENOISER_PREFIX)), "F32")
    left_out = [name for name in LEFT_OUT if name in read_object(base / MODEL_INDEX)]
    command = [sys.executable, "-I", str(_READER), *map(str, (path.resolve(), base.resolve(), folder)), stored]
    done = subprocess.run([*command, *left_out], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise _misfit(path, next(reversed(done.stderr.strip().splitlines()), f"exit status {done.returncode}"))


def _check_counts(path: Path, base: Path, header: Mapping[str, TensorHeader]) -> None:
    """Refuse a file with fewer or more tensors than the base's networks: diffusers drops what it does not know."""
    for part, prefix in _PREFIXES.items():
        held = sum(name.startswith(prefix) for name in header)
        due = sum(len(read_header(file)) for file in (base / part).glob("*.safetensors"))
        if held != due:
            raise _misfit(path, f"it holds {held} tensors of {part}, this base has {due}")


def _misfit(path: Path, reason: str) -> WeightsError:
    return WeightsError(f"{path}: a whole pipeline in one file, but not one of this base's kind: {reason}")
