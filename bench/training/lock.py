"""Which process works on a stage: the same command started twice shares the work and never does a part twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: one process at a time is left to the user
    fcntl = None  # type: ignore[assignment]


@contextmanager
def held(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the lock file `path` for the block; False where another process has it and `wait` is False.

    The system lets go of it when its process ends, however that happens.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        if fcntl is None:
            yield True
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)
