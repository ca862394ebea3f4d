"""One command at a time writes to a folder. The system lets go of the lock when the process ends, however it ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType

from bench.errors import UsageError
from bench.storage import storing

if sys.platform != "win32":
    import fcntl
else:
    import msvcrt

LOCK = ".lock"


class FolderLock:
    """Hold `folder` while in this context; made if need be. The file that is left by a killed run holds nobody up.

    Raises:
        UsageError: on entering, where another process holds it.
        StorageError: on entering, where the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / LOCK
        self._handle: int | None = None
        self._made = False

    def __enter__(self) -> FolderLock:
        with storing(self._folder):
            self._made = not self._folder.exists()
            self._handle = self._take()
        os.truncate(self._handle, 0)
        os.write(self._handle, f"{os.getpid()}\n".encode())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None:
            self._path.unlink(missing_ok=True)  # while it is held: who waits for this file finds another one
            os.close(self._handle)
            self._handle = None
            if self._made and not any(self._folder.iterdir()):
                self._folder.rmdir()  # nothing came of it: nothing is left

    @property
    def handles(self) -> tuple[int, ...]:
        """For a child process to inherit: it then holds the folder too, for as long as it lives."""
        return () if self._handle is None or sys.platform == "win32" else (self._handle,)

    def _take(self) -> int:
        """A locked handle of the file that is at the path now."""
        while True:
            self._folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            if not _lock(handle):
                holder = _holder(handle)
                os.close(handle)
                busy = f"another command{holder} is writing to {self._folder}"
                raise UsageError(f"{busy}; wait until it is done, or name another --out")
            if _is_at(handle, self._path):
                return handle
            os.close(handle)  # the holder before removed it just now


def _lock(handle: int) -> bool:
    """Whether the handle is ours now. A file system without locks is not held against the user."""
    try:
        if sys.platform != "win32":
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


def _holder(handle: int) -> str:
    text = os.read(handle, 32).decode(errors="replace").strip()
    return f" (process {text})" if text.isdecimal() else ""
