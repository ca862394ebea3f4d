"""Compare a report with what its records say, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

OWN = ("tables", "figures", "methods")
"""The folders that belong to the report; beside them `index.html`."""


def differences(expected: Mapping[str, bytes], out: Path) -> list[str]:
    """One line for each file of `out` that differs from `expected`, is missing, or is left over; sorted by path."""
    found = {}
    for name, data in expected.items():
        path = out / name
        if not path.is_file():
            found[name] = "missing"
        elif path.read_bytes() != data:
            found[name] = "differs"
    found |= dict.fromkeys(left_over(expected, out), "left over")
    return [f"{found[name]}: {name}" for name in sorted(found)]


def left_over(expected: Mapping[str, bytes], out: Path) -> list[str]:
    """Files in the report's own folders that this report would not write."""
    files = (path for folder in OWN for path in sorted((out / folder).rglob("*")) if not path.is_dir())
    names = (path.relative_to(out).as_posix() for path in files)
    return [name for name in names if name not in expected]
