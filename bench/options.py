"""Options as the command line gives them, read or refused with a line that names the fix. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from bench.errors import UsageError
from methods.names import NameTable

MAX_STEPS = 1000
MAX_GUIDANCE = 100.0


def split(option: str, text: str) -> list[str]:
    """The entries of a list with commas.

    Raises:
        UsageError: where there is none, one is empty, or one stands twice.
    """
    items = [item.strip() for item in text.split(",")]
    if not any(items):
        raise UsageError(f"{option} is empty; give at least one value, or several with commas between")
    if not all(items):
        tidy = ",".join(item for item in items if item)
        raise UsageError(f"{option} {text!r} has an empty entry; write {tidy}")
    if repeated := [item for index, item in enumerate(items) if item in items[:index]]:
        raise UsageError(f"{option} names {repeated[0]!r} twice; name it once")
    return items


def names(option: str, text: str, table: NameTable) -> tuple[str, ...]:
    """Names that are in `table`.

    Raises:
        UsageError: for the first that is not.
    """
    found = tuple(split(option, text))
    for name in found:
        table.entry(name)
    return found


def steps(text: str) -> tuple[int, ...]:
    """Step counts.

    Raises:
        UsageError: for one that is not possible, or stands twice.
    """
    counts = []
    for item in split("--steps", text):
        if not item.isascii() or not item.isdigit() or not 1 <= int(item) <= MAX_STEPS:
            raise UsageError(f"--steps {item!r} is not possible; use whole numbers from 1 to {MAX_STEPS}, as in 1,2,4")
        counts.append(int(item))
    if len(set(counts)) < len(counts):
        raise UsageError(f"--steps {text!r} names a step count twice; name it once")
    return tuple(counts)


def guidance_scale(value: float | None) -> float | None:
    """`value` with both spellings of "none", 0.0 and 1.0, as 1.0; None stays the recipe's own.

    Raises:
        UsageError: for a scale that is not possible.
    """
    if value is None:
        return None
    if value in (0.0, 1.0):
        return 1.0
    if not math.isfinite(value) or not 1.0 < value <= MAX_GUIDANCE:
        raise UsageError(f"--guidance-scale {value:g} is not possible; use 1 (none), or more, up to {MAX_GUIDANCE:g}")
    return value


def between(option: str, value: int, low: int, high: int) -> None:
    """Raises UsageError for a value outside low..high."""
    if not low <= value <= high:
        raise UsageError(f"{option} {value} is out of range; use {low} to {high}")


def choice(option: str, value: str, choices: Sequence[str]) -> None:
    """Raises UsageError for a value that is not among `choices`."""
    if value not in choices:
        raise UsageError(f"{option} {value!r} is not one of {', '.join(choices)}")


def named_weights(items: Sequence[str], methods: Sequence[str]) -> dict[str, str]:
    """METHOD=NAME, apart: what names the weights of each method.

    Raises:
        UsageError: where one is not of that form, of another method, or stands twice.
    """
    named: dict[str, str] = {}
    for item in items:
        method, equals, text = item.partition("=")
        if not equals or not text:
            raise UsageError(f"--weights {item!r} is not METHOD=FOLDER, as in --weights lcm=students/lcm, nor a hub id")
        if method not in methods:
            raise UsageError(f"--weights {item!r}: {method!r} is not among --methods {','.join(methods)}")
        if method in named:
            raise UsageError(f"--weights names {method!r} twice; name it once")
        named[method] = text
    return named


def folders(items: Sequence[str], methods: Sequence[str]) -> dict[str, Path]:
    """METHOD=FOLDER, read: the folder of each method named.

    Raises:
        UsageError: as `named_weights`, and where there is no such folder.
    """
    named = named_weights(items, methods)
    for method, folder in named.items():
        if not Path(folder).is_dir():
            raise UsageError(f"--weights {method}={folder}: there is no folder {folder}")
    return {method: Path(folder) for method, folder in named.items()}
