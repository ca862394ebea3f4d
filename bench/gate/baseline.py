"""A baseline: records with their raw samples, and who made them where, in one JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.folder import write_json
from bench.record import Record, read_records, record_from_json

KIND = "fewstep-bench baseline"
SCHEMA = 1


@dataclass(frozen=True)
class Baseline:
    """`commit` is the one that made it, None where that is not known or its checkout was changed."""

    records: tuple[Record, ...]
    commit: str | None
    settings: Mapping[str, Any]


def write_baseline(path: Path, records: Sequence[Record], settings: Mapping[str, Any]) -> Baseline:
    """Write records to `path`, whole or not at all; `settings` are those of the run, so that a gate can repeat it.

    Raises:
        UsageError: where there is no record, or one did not succeed.
    """
    bad = [record for record in records if record.status != "ok"]
    if not records or bad:
        why = f"{bad[0].cell.name} {bad[0].status}: {bad[0].reason}" if bad else "there are no records"
        raise UsageError(f"nothing to store as a baseline: {why}")
    baseline = Baseline(tuple(records), _commit(records), dict(settings))
    stored = [asdict(record) | {"cell": record.cell.stated} for record in records]
    data = {"kind": KIND, "schema": SCHEMA, "commit": baseline.commit, "settings": dict(settings), "records": stored}
    try:
        write_json(path, data)
    except OSError as error:
        raise UsageError(f"--out {path} cannot be written ({error.strerror}); name another file") from error
    return baseline


def read_baseline(path: Path) -> Baseline:
    """Read what `write_baseline` wrote.

    Raises:
        UsageError: where there is no such file, or it is no baseline.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"--baseline {path} cannot be read ({error}); make one with `bench baseline`") from error
    if not isinstance(data, dict) or data.get("kind") != KIND or data.get("schema") != SCHEMA:
        raise UsageError(f"--baseline {path} is no baseline of this version; make one with `bench baseline`")
    try:
        records = tuple(record_from_json(item) for item in data["records"])
        commit, settings = data["commit"], dict(data["settings"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"--baseline {path} is damaged ({error}); make it again with `bench baseline`") from error
    if not records:
        raise UsageError(f"--baseline {path} holds no records; make it again with `bench baseline`")
    return Baseline(records, commit if isinstance(commit, str) else None, settings)


def records_of(folder: Path, option: str) -> tuple[Record, ...]:
    """All records of an out folder of `bench run`.

    Raises:
        UsageError: where it has none.
        RecordError: where one cannot be read.
    """
    records = tuple(read_records(folder / "records")) if (folder / "records").is_dir() else ()
    if not records:
        raise UsageError(f"{option} {folder}: no records there; give an out folder of `bench run`")
    return records


def _commit(records: Sequence[Record]) -> str | None:
    """The commit that made all of them, where there is one and nothing was changed."""
    codes = [record.provenance.get("code", {}) for record in records]
    commits = {code.get("commit") for code in codes}
    dirty = any(code.get("dirty") is not False for code in codes)
    commit = next(iter(commits)) if len(commits) == 1 else None
    return None if dirty or not isinstance(commit, str) else commit
