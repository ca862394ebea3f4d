"""sha256 of large files, computed again only where a file may have changed.

A file's hash is remembered with its size, its times of modification and of change, and its inode. The time of change
is set by the system and by nobody else, so a file that was written to in any way is hashed again. A hash is remembered
only of a file that has been left alone for some seconds: one written to within the clock's tick would look the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from methods.hub.places import cache_folder

SETTLED_S = 2.0
WORTH_KEEPING = 2**20
"""Bytes from which a hash is kept on disk; smaller files are hashed at once."""

_known: dict[str, str] = {}


def sha256_of(path: Path) -> str:
    """The sha256 of a file, through links, in hexadecimal."""
    status = path.stat()
    key = _key(status)
    if status.st_size >= WORTH_KEEPING:
        found = _known.get(key) or _read_kept(key)
        if found is not None:
            return found
    digest = hash_file(path)
    after = path.stat()
    if status.st_size >= WORTH_KEEPING and _key(after) == key and time.time() - after.st_ctime > SETTLED_S:
        _known[key] = digest
        _keep(key, digest)
    return digest


def hash_file(path: Path) -> str:
    """The sha256 of a file, computed whatever is remembered."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def forget() -> None:
    """Forget the hashes of this process; those on disk stay."""
    _known.clear()


def _key(status: os.stat_result) -> str:
    numbers = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return hashlib.sha256(repr(numbers).encode()).hexdigest()


def _kept(key: str) -> Path:
    return cache_folder() / "hashes" / f"{key}.json"


def _read_kept(key: str) -> str | None:
    try:
        digest = json.loads(_kept(key).read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    _known[key] = digest
    return str(digest)


def _keep(key: str, digest: str) -> None:
    """Best effort: a cache that cannot be written costs time, not correctness."""
    path, partial = _kept(key), None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({"sha256": digest}, file)
        Path(partial).replace(path)
    except OSError:
        with suppress(OSError):
            if partial is not None:
                Path(partial).unlink(missing_ok=True)
