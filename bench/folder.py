"""The `--out` folder of a run: what lies where, and whether it is ours to write to.

fewstep-bench.json     marker: this folder belongs to the benchmark, and to which suite
records/<cell>.json    one record a cell
images/<cell>/<id>.png one image a prompt
features/              cached features, by content hash
sheets/<cell>.webp     the first images side by side
logs/<cell>.txt        the trace of a cell that failed
prompts.json           the prompts used
suite.json             exact ids, caption choice, crop and resize, where the suite is made of a user's files
results.csv, .parquet  one tidy row a quantity
records.index.json     what a later run needs to know of the records, to do nothing in no time
results.stale          there while results.csv may lack a record
.lock                  there while a command writes
*.partial              a file being written, or what a killed run left of one
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError
from bench.lock import LOCK
from bench.record import SCHEMA, Cell
from bench.strips import SUFFIX
from methods.jsonfile import read_json

if TYPE_CHECKING:  # judging imports torch, and a folder must be checked without it
    from bench.judging import Prompt

MARKER = "fewstep-bench.json"
PARTIAL = ".partial"
STALE = "results.stale"
PROMPT_FIELDS = ("id", "text", "category")


@dataclass(frozen=True)
class OutFolder:
    """Paths under one `--out` folder; nothing is written before `prepare`."""

    root: Path
    suite: str

    @property
    def records(self) -> Path:
        return self.root / "records"

    @property
    def features(self) -> Path:
        return self.root / "features"

    def record(self, cell: Cell) -> Path:
        return self.records / f"{cell.name}.json"

    def images(self, cell: Cell) -> Path:
        return self.root / "images" / cell.name

    def sheet(self, cell: Cell) -> Path:
        return self.root / "sheets" / f"{cell.name}{SUFFIX}"

    def log(self, cell: Cell) -> Path:
        return self.root / "logs" / f"{cell.name}.txt"

    def count_images(self, cell: Cell) -> int:
        """How many images of `cell` are kept."""
        return sum(1 for _ in self.images(cell).glob("*.png"))

    def check(self) -> None:
        """Look, touch nothing.

        Raises:
            UsageError: where the folder is a file, cannot be written, or holds somebody else's files.
        """
        try:
            _check_writable(self.root)
            empty = not self.root.exists() or all(_is_passing(path) for path in self.root.iterdir())
        except OSError as error:
            raise UsageError(f"--out {self.root} cannot be used ({error.strerror}); name another folder") from error
        if empty:
            return
        marker = self.root / MARKER
        if not marker.is_file():
            raise UsageError(f"--out {self.root} holds files this benchmark did not write; name a new or empty folder")
        _check_marker(marker, self.suite)

    def prepare(self) -> None:
        """Create the folder and its marker.

        Raises:
            UsageError: where that is not possible.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if not (self.root / MARKER).exists():
                write_json(self.root / MARKER, {"made_by": "fewstep-bench", "schema": SCHEMA, "suite": self.suite})
            self._sweep()
        except OSError as error:
            raise UsageError(f"--out {self.root} cannot be written ({error.strerror}); name another folder") from error

    def results_fall_behind(self) -> None:
        """Note that records are about to be written that results.csv has not."""
        (self.root / STALE).touch()

    @property
    def results_are_written_out(self) -> bool:
        """Whether results.csv and results.parquet are there, with all records."""
        there = all((self.root / name).is_file() for name in ("results.csv", "results.parquet"))
        return there and not (self.root / STALE).exists()

    def results_are_written(self) -> None:
        """Note that results.csv has all records."""
        (self.root / STALE).unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove what a killed run left of files that it was writing; those of images go where their cell begins."""
        for folder in (self.root, self.records, *self.features.glob("*/"), self.root / "sheets"):
            for path in folder.glob(f"*{PARTIAL}"):
                path.unlink(missing_ok=True)

    def write_suite(self, description: Mapping[str, Any]) -> None:
        """Keep what a suite says it is, where it says something."""
        if description:
            write_json(self.root / "suite.json", description)

    def write_prompts(self, prompts: Sequence[Prompt]) -> None:
        """Keep `prompts.json` as the longest list used in this folder (shorter ones are its beginning)."""
        path = self.root / "prompts.json"
        listed = [{name: getattr(prompt, name) for name in PROMPT_FIELDS} for prompt in prompts]
        known = _read_list(path)
        if known[: len(listed)] != listed:
            write_json(path, listed)


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path`, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + PARTIAL)
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _read_list(path: Path) -> list[Any]:
    """The JSON list in a file; an empty one where there is none."""
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return []
    return found if isinstance(found, list) else []


def _is_passing(path: Path) -> bool:
    """Whether a file is of no account: a lock, or a part of one that a killed run was writing."""
    return path.name == LOCK or path.name == MARKER + PARTIAL


def _check_writable(root: Path) -> None:
    if root.exists() and not root.is_dir():
        raise UsageError(f"--out {root} is a file; name a folder")
    nearest = root
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise UsageError(f"--out {root} cannot be made, because {nearest} is a file; name another folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UsageError(f"--out {root} cannot be written: no permission in {nearest}; name another folder")


def _check_marker(marker: Path, suite: str) -> None:
    try:
        data = read_json(marker)
        schema, found = data["schema"], data["suite"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{marker} is damaged; name another --out, or delete that folder if it can go") from error
    if schema != SCHEMA:
        raise UsageError(
            f"--out {marker.parent} is of schema {schema}, this version is of {SCHEMA}; name another folder"
        )
    if found != suite:
        raise UsageError(f"--out {marker.parent} holds results of suite {found!r}, not {suite!r}; name another folder")
