"""Progress on stderr: one line that stays put on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from bench.record import Cell, Record
from bench.text import printable

PLAIN_EVERY = 10.0  # seconds between plain lines
_REFRESH = 8  # a second


def cell_title(cell: Cell) -> str:
    """`add, 1 step`."""
    family = "" if cell.family is None else f"@{cell.family}"
    mark = " (off recipe)" if cell.off_recipe else ""
    return f"{cell.method}{family}{mark}, {cell.num_inference_steps} step{'' if cell.num_inference_steps == 1 else 's'}"


def duration(seconds: float) -> str:
    """`0:07`, `12:30` or `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Meter:
    """Where a run stands. Work is counted in images times (steps + 1), so that cells of few and many steps add up."""

    def __init__(self, cells: Sequence[Cell], clock: Callable[[], float] = time.monotonic) -> None:
        self._cells, self._clock = cells, clock
        self._index = -1
        self._total = self._there = self._sampled = 0
        self._work_done = 0
        self._work_seconds = self._cell_seconds = 0.0
        self._last = 0.0
        self._stage = ""

    def start(self, images: int) -> None:
        """The next cell begins, with `images` images."""
        self._index += 1
        self._total, self._there, self._sampled = images, 0, 0
        self._cell_seconds = 0.0
        self._stage = ""
        self._last = self._clock()

    def stage(self, text: str) -> None:
        """The cell is busy with something else than sampling."""
        self._stage = text
        self._last = self._clock()

    def add(self, count: int, *, kept: bool) -> None:
        """`count` more images."""
        now = self._clock()
        self._there += count
        self._stage = ""
        if not kept:
            self._sampled += count
            self._cell_seconds += now - self._last
            self._work_seconds += now - self._last
            self._work_done += count * self._work(self._index)
        self._last = now

    @property
    def rate(self) -> float | None:
        """Images a second in this cell, None before the first."""
        return self._sampled / self._cell_seconds if self._sampled and self._cell_seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """Time to sample what is left of all cells, None before the first slice is done."""
        if not self._work_done:
            return None
        left = (self._total - self._there) * self._work(self._index)
        left += sum(self._total * self._work(index) for index in range(self._index + 1, len(self._cells)))
        return left * self._work_seconds / self._work_done

    @property
    def line(self) -> str:
        """One line about all this."""
        if self._index < 0:
            return self._stage
        parts = [f"cell {self._index + 1} of {len(self._cells)}", cell_title(self._cells[self._index])]
        parts.append(f"{self._there:,} of {self._total:,} images")
        if self.rate is not None:
            parts.append(f"{self.rate:,.1f} images/s")
        if self.seconds_left is not None:
            parts.append(f"{duration(self.seconds_left)} left")
        if self._stage:
            parts.append(self._stage)
        return " · ".join(parts)

    def _work(self, index: int) -> int:
        return self._cells[index].num_inference_steps + 1


class Progress:
    """An observer of a run that shows a `Meter` on `stream`; use it as a context."""

    def __init__(
        self, cells: Sequence[Cell], stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._meter = Meter(cells, clock)
        self._clock = clock
        self._spoke = float("-inf")
        self._live: Live | None = None

    def __enter__(self) -> Progress:
        if self._stream.isatty():
            self._live = Live(
                Text(""),
                console=Console(file=self._stream),
                refresh_per_second=_REFRESH,
                transient=True,
                redirect_stdout=False,
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def cell(self, _cell: Cell, images: int) -> None:
        self._meter.start(images)
        self._show(now=True)

    def images(self, count: int, *, kept: bool) -> None:
        self._meter.add(count, kept=kept)
        self._show()

    def stage(self, text: str) -> None:
        self._meter.stage(text)
        self._show()

    def done(self, record: Record) -> None:
        if record.status != "ok":
            self._say(f"{cell_title(record.cell)}: {record.status}: {record.reason}")

    def _show(self, *, now: bool = False) -> None:
        if self._live is not None:
            self._live.update(Text(self._meter.line, overflow="ellipsis", no_wrap=True))
        elif now or self._clock() - self._spoke >= PLAIN_EVERY:
            self._say(self._meter.line)

    def _say(self, line: str) -> None:
        self._spoke = self._clock()
        line = printable(line)
        if self._live is not None:
            self._live.console.print(Text(line))
        else:
            self._stream.write(line + "\n")
            self._stream.flush()
