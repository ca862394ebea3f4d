"""Being asked to stop: SIGTERM ends a command as Ctrl-C does, with what is done kept."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
TERMINATED = 143


class Terminated(KeyboardInterrupt):
    """SIGTERM, as from a queue whose time is up, or a machine that is taken away."""


def exit_status(stop: KeyboardInterrupt) -> int:
    """130 after SIGINT, 143 after SIGTERM, as a shell reports them."""
    return TERMINATED if isinstance(stop, Terminated) else INTERRUPTED


@contextmanager
def termination_stops() -> Iterator[None]:
    """Let SIGTERM raise `Terminated` in the main thread; elsewhere nothing changes.

    Only the default is replaced: a program that calls this package keeps its own handling.
    """
    replace = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) in (
        signal.SIG_DFL,
        _stop,
    )
    before = signal.signal(signal.SIGTERM, _stop) if replace else None
    try:
        yield
    finally:
        if replace:
            signal.signal(signal.SIGTERM, before)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise Terminated
