"""A table of text on a terminal or in a pipe: columns aligned, long cells wrapped where there is a width to wrap at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

_PIPE_WIDTH = 200


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]], legend: str, stream: TextIO) -> None:
    """Print rows under heads, then a legend."""
    console = Console(file=stream, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    for head in heads:
        grid.add_column(head, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    console.print(grid)
    console.print()
    console.print(Text(legend, style="dim"))
