"""What a disk can do to a run: full, read-only, over its quota. One line that says what to do, and nothing is lost."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from bench.errors import StorageError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}
_SPELLED_OUT = ("No space left on device", "File too large", "Disk quota exceeded", "Read-only file system")


def storage_error(error: BaseException, root: Path) -> StorageError | None:
    """The error to show where `error` is about writing below `root`; None where it is about something else.

    Libraries that write by themselves wrap the system's error, so the chain of causes is searched.
    """
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, StorageError):
            return found
        if (reason := _reason(found, root)) is not None:
            return StorageError(f"{root}: {reason}; then the same command goes on from here")
        found = found.__cause__ or found.__context__
    return None


def disk_error(error: OSError) -> str:
    """One line about what the system refused, wherever that was."""
    where = f"{error.filename}: " if error.filename else ""
    fix = "; free some space or give permission, then run the same command again"
    return f"{where}{error.strerror or error}{fix if error.errno in _FULL | _CLOSED else ''}"


@contextmanager
def storing(root: Path) -> Iterator[None]:
    """Turn what the disk of `root` refuses into a `StorageError`.

    Raises:
        StorageError: for a full disk, a quota, a limit on file sizes, or a folder that cannot be written.
    """
    try:
        yield
    except Exception as error:
        found = storage_error(error, root)
        if found is None or found is error:
            raise
        raise found from error


def write_all(file: BinaryIO, content: bytes) -> None:
    """Write all of `content` to an unbuffered file: a disk that fills up takes a part of it without complaint."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


def _reason(error: BaseException, root: Path) -> str | None:
    text = str(error)
    if isinstance(error, OSError) and error.errno is not None:
        if error.errno in _FULL:
            return f"cannot be written ({error.strerror or 'the disk is full'}); free some space"
        if error.errno == errno.EROFS or (error.errno in _CLOSED and _below(error.filename, root)):
            return f"cannot be written ({error.strerror}); give write permission"
        return None
    spelled = next((words for words in _SPELLED_OUT if words.lower() in text.lower()), None)
    return None if spelled is None else f"cannot be written ({spelled}); free some space or give write permission"


def _below(name: object, root: Path) -> bool:
    if not isinstance(name, str | bytes):
        return False
    path = Path(name if isinstance(name, str) else name.decode(errors="replace"))
    return path.resolve().is_relative_to(root.resolve())
