"""Which process works on a stage: the same command started twice shares the work and never does a part twice.

On Windows nothing is locked: there, start one process at a time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

if sys.platform != "win32":
    import fcntl


@contextmanager
def held(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the lock file `path` for the block; False where another process has it and `wait` is False.

    The system lets go of it when its process ends, however that happens.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:  # closing the file lets go of the lock
        yield _taken(file, wait)


def _taken(file: TextIO, wait: bool) -> bool:
    if sys.platform != "win32":
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
    return True
