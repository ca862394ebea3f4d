"""Run something in a child process and end it with SIGKILL at a chosen moment.

Children are forked, so that torch is imported once. A moment is the n-th time that something happens in the child (an
image is opened for writing, a slice is sampled) and a fraction of a millisecond more: between two writes or within one.
"""

from __future__ import annotations

import faulthandler
import os
import select
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Classify = Callable[[str], str | None]
"""From the path of a file that is opened for writing to what that is called, None where it is of no account."""


@dataclass(frozen=True)
class Moment:
    """The `count`-th time that `event` happens, and `delay_s` more."""

    event: str
    count: int
    delay_s: float = 0.0


class Events:
    """Counts what happens in a child, and tells the parent when its moment has come."""

    def __init__(self, moment: Moment | None, pipe: int, classify: Classify) -> None:
        self.seen: Counter[str] = Counter()
        self._moment, self._pipe, self._classify = moment, pipe, classify

    def happened(self, event: str) -> None:
        self.seen[event] += 1
        if self._moment is not None and (event, self.seen[event]) == (self._moment.event, self._moment.count):
            os.write(self._pipe, b"!")
            if self._moment.delay_s == 0:
                signal.pause()  # the parent kills here, before whatever comes next

    def audit(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name == "open" and isinstance(arguments[0], str) and _writes(arguments):
            event = self._classify(arguments[0])
            if event is not None:
                self.happened(event)


@dataclass(frozen=True)
class Ended:
    """How a child ended: its exit status, None where it was killed, what it saw and what it said."""

    status: int | None
    seen: dict[str, int]
    output: str


def in_child(
    work: Callable[[Events], int], folder: Path, classify: Classify, moment: Moment | None = None, limit_s: float = 240
) -> Ended:
    """Fork, do `work`, and kill the child at `moment` if that comes. `folder` is for notes."""
    folder.mkdir(parents=True, exist_ok=True)
    output, notes = folder / "output.txt", folder / "seen.txt"
    notes.unlink(missing_ok=True)
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _be_a_child(work, Events(moment, writer, classify), output, notes, limit_s)
    os.close(writer)
    killed = _wait_and_kill(child, reader, moment, limit_s)
    os.close(reader)
    _, status = os.waitpid(child, 0)
    lines = notes.read_text().split() if notes.exists() else []
    seen = {name: int(count) for name, count in (line.split("=") for line in lines)}
    return Ended(None if killed else os.waitstatus_to_exitcode(status), seen, output.read_text(errors="replace"))


def _be_a_child(work: Callable[[Events], int], events: Events, output: Path, notes: Path, limit_s: float) -> None:
    """Never returns: pytest's own cleaning up is the parent's business."""
    status = 70
    try:
        handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        sys.stdout = sys.__stdout__ = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = sys.__stderr__ = open(2, "w", closefd=False)  # noqa: SIM115
        faulthandler.dump_traceback_later(limit_s / 2, file=sys.stderr)  # should it hang
        sys.addaudithook(events.audit)
        status = work(events)
        notes.write_text("\n".join(f"{name}={count}" for name, count in events.seen.items()))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _wait_and_kill(child: int, reader: int, moment: Moment | None, limit_s: float) -> bool:
    ready, _, _ = select.select([reader], [], [], limit_s)
    if ready and os.read(reader, 1) == b"":
        return False  # it ended by itself
    if moment is not None and ready:
        time.sleep(moment.delay_s)
    os.kill(child, signal.SIGKILL)
    return True


def _writes(arguments: tuple[Any, ...]) -> bool:
    """Whether an `open` event of the interpreter is for writing: by its mode, or by its flags."""
    mode, flags = arguments[1], arguments[2]
    by_mode = isinstance(mode, str) and any(letter in mode for letter in "wxa+")
    return by_mode or (isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR)))
