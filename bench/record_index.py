"""What resume needs to know of each record, in one file beside them: thousands of records are not read to do nothing.

An entry counts while its record is the very file it was made from, by inode, size and times; any other record is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.folder import write_text
from bench.record import Record, read_record
from methods.jsonfile import read_json

NAME = "records.index.json"


def facts_of(record: Record) -> dict[str, Any]:
    """The part of a record that says whether it is done, as JSON data."""
    about = record.provenance
    return {
        "cell": record.cell.stated,
        "status": record.status,
        "origin": about.get("origin"),
        "loading": about.get("loading", {}),
        "covered": sorted({*about.get("metrics", ()), *about.get("left_out", {})}),
        "judge_files": about.get("judge_files", {}),
    }


def write_index(folder: Path, records: Mapping[str, Record]) -> None:
    """Write the facts of `records` (file name -> record) of `folder`/records."""
    entries = {
        name: [_identity(folder / "records" / name), facts_of(record)] for name, record in sorted(records.items())
    }
    write_text(folder / NAME, json.dumps(entries, sort_keys=True) + "\n")


class RecordIndex:
    """The facts of the records of an out folder; those that the index does not know are read.

    Raises:
        RecordError: on `facts`, where a record that has to be read cannot be.
    """

    def __init__(self, folder: Path) -> None:
        self._records = folder / "records"
        try:
            found = read_json(folder / NAME)
        except (OSError, ValueError):
            found = {}
        self._entries: dict[str, Any] = found if isinstance(found, dict) else {}

    def facts(self, name: str) -> Mapping[str, Any] | None:
        """What is known of the record in the file `name`; None where there is none."""
        path = self._records / name
        try:
            identity = _identity(path)
        except OSError:
            return None
        match self._entries.get(name):
            case [known, {"cell": _, "status": _, "covered": list(), "judge_files": dict(), **rest}] if (
                known == identity and set(rest) == {"origin", "loading"}
            ):
                facts: Mapping[str, Any] = self._entries[name][1]
                return facts
        return facts_of(read_record(path))


def _identity(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
