"""The published values: CSV files beside this module, read with checks. Nothing here is a measurement of ours.

A column `x` with a neighbour `x_error` holds values; all other columns say which row it is. `read` says how a value
was had: printed in the paper (the error is half a unit of the last digit) or digitised from a figure (the error is that
of reading it off). A value from anybody's memory has no place here.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.errors import RecordError

FOLDER = Path(__file__).parent
READ = ("printed", "digitised")
KEYS: Mapping[str, tuple[str, ...]] = {
    "table1": ("panel", "setting"),
    "table2": ("method", "num_inference_steps"),
    "user_study": ("figure", "add_model", "add_steps", "opponent", "opponent_steps"),
    "figure7": ("model", "num_inference_steps"),
    "figure11": ("model", "point"),
    "independent": ("model", "num_inference_steps", "protocol"),
}
"""The tables, and the columns that together name one of their rows."""


@dataclass(frozen=True)
class Published:
    """One published value: the number, its digits as they are printed, and how far off they may be."""

    number: float
    text: str
    error: float
    digitised: bool

    @property
    def shown(self) -> str:
        """As it is printed; what was read off a figure says how closely."""
        return f"{self.text} ± {self.error:g}" if self.digitised else self.text


@dataclass(frozen=True)
class PublishedRow:
    """One row of a published table: what it is, its values, where it stands."""

    keys: Mapping[str, str]
    values: Mapping[str, Published]
    source: str
    note: str

    @property
    def steps(self) -> int:
        """Its number of steps.

        Raises:
            KeyError: for a table without them.
        """
        return int(self.keys["num_inference_steps"])


@dataclass(frozen=True)
class Counterpart:
    """What here answers to a published model: in the embedded suite, and as a released checkpoint at full size.

    `method` is None where nothing does, with the `reason`.
    """

    method: str | None
    steps: int | None
    full_method: str | None
    full_family: str | None
    reason: str


@cache
def published(name: str) -> tuple[PublishedRow, ...]:
    """The rows of a table of `KEYS`, in the paper's order.

    Raises:
        RecordError: where the file is damaged, naming the line.
    """
    return read_rows(FOLDER / f"{name}.csv", KEYS[name])


def read_rows(path: Path, keys: Sequence[str]) -> tuple[PublishedRow, ...]:
    """The rows of one file.

    Raises:
        RecordError: for a value that is no number, or has no error or source, and for a row that stands twice.
    """
    found: dict[tuple[str, ...], PublishedRow] = {}
    for line, cells in enumerate(_lines(path), start=2):
        try:
            row = _row(cells)
            name = tuple(row.keys[key] for key in keys)
            if name in found:
                raise ValueError(f"{', '.join(name)} stands twice")
        except (KeyError, ValueError) as error:
            raise RecordError(f"{path}, line {line}: {error}; install the package again") from error
        found[name] = row
    return tuple(found.values())


@cache
def rule(name: str) -> float:
    """A number of `rules.csv`.

    Raises:
        KeyError: where there is none of that name.
    """
    return {cells["name"]: float(cells["value"]) for cells in _lines(FOLDER / "rules.csv")}[name]


@cache
def counterpart(where: str, model: str, steps: str = "") -> Counterpart:
    """What here answers to the published `model` at `steps`, in a table or study.

    Raises:
        KeyError: where the data says neither what does nor why nothing does.
    """
    for cells in _lines(FOLDER / "counterparts.csv"):
        if (cells["where"], cells["published"], cells["num_inference_steps"]) == (where, model, steps):
            method = cells["method"] or None
            if method is None and not cells["reason"]:
                break
            return Counterpart(
                method, int(cells["steps"]) if cells["steps"] else None, cells["full_method"] or None,
                cells["full_family"] or None, cells["reason"],
            )  # fmt: skip
    raise KeyError(f"{where}: no counterpart and no reason for {model} at {steps} steps")


def _lines(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordError(f"{path}: cannot be read ({error}); install the package again") from error
    for line, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise RecordError(f"{path}, line {line}: not as many cells as heads; install the package again")
    return rows


def _row(cells: Mapping[str, str]) -> PublishedRow:
    if cells["read"] not in READ:
        raise ValueError(f"read {cells['read']!r} is none of {', '.join(READ)}")
    if not cells["source"].strip():
        raise ValueError("no source")
    names = [name for name in cells if f"{name}_error" in cells]
    about = {"read", "source", "note", *names, *(f"{name}_error" for name in names)}
    values = {name: _value(cells, name) for name in names if cells[name]}
    keys = {name: text for name, text in cells.items() if name not in about}
    return PublishedRow(keys, values, cells["source"], cells["note"])


def _value(cells: Mapping[str, str], name: str) -> Published:
    number, error = float(cells[name]), float(cells[f"{name}_error"])
    if not math.isfinite(number) or not (math.isfinite(error) and error > 0):
        raise ValueError(f"{name} {cells[name]!r} ± {cells[f'{name}_error']!r} is no value with an error")
    return Published(number, cells[name], error, cells["read"] == "digitised")
