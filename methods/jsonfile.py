"""JSON from outside: bounded in size and depth, from ordinary files alone, and an error that callers expect."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any, NoReturn

LONGEST = 64 * 2**20
"""Bytes of the largest file that is read; the largest of ours is a hundredth of that."""


def read_json(path: Path, longest: int = LONGEST) -> Any:
    """The value in a file.

    Raises:
        OSError: where it cannot be read.
        ValueError: where it is no ordinary file, longer than `longest` bytes, not UTF-8, or not JSON.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("not an ordinary file")
    if status.st_size > longest:
        raise ValueError(f"{status.st_size:,} bytes, of which at most {longest:,} are read")
    return parse_json(path.read_text(encoding="utf-8"))


def parse_json(text: str) -> Any:
    """The value that `text` stands for; NaN and infinities, which JSON has not, are refused.

    Raises:
        ValueError: where it is not JSON, or nested deeper than Python goes.
    """
    try:
        return json.loads(text, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
