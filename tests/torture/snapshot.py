"""What a folder holds, without measured times and costs: two runs that did the same have equal snapshots."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

MEASURED_UNITS = ("s", "images/s", "bytes")


def snapshot(root: Path) -> dict[str, str]:
    """Relative path -> sha256 of the content with measured values blanked, of every file below `root`."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_file():
            content = _content(path)
            if content is not None:
                found[path.relative_to(root).as_posix()] = hashlib.sha256(content).hexdigest()
    return found


def _content(path: Path) -> bytes | None:
    if path.parent.name == "records":
        return json.dumps(_record(json.loads(path.read_text()))).encode()
    if path.name == "records.index.json":
        return json.dumps({name: facts for name, (_, facts) in json.loads(path.read_text()).items()}).encode()
    if path.name == "slices.jsonl":
        return json.dumps(sorted(_without(json.loads(line), "seconds") for line in _last_lines(path))).encode()
    if path.name == "results.csv":
        return json.dumps(_rows(path.read_text())).encode()
    if path.name == "results.parquet":
        return json.dumps(_rows(_parquet_as_csv(path))).encode()
    if path.name == "losses.csv":
        return "\n".join(",".join(_but_second(line.split(","))) for line in path.read_text().splitlines()).encode()
    if path.name in ("made.json", "measures.jsonl"):
        return json.dumps([_without(json.loads(line), "seconds") for line in _objects(path)]).encode()
    if path.name == "training.safetensors":
        return None  # the checkpoint holds its seconds; the weights made of it are compared
    return path.read_bytes()


def _record(data: dict[str, Any]) -> dict[str, Any]:
    quantities = [
        {**item, "value": 0, "ci_low": 0, "ci_high": 0} if item["unit"] in MEASURED_UNITS else item
        for item in data["quantities"]
    ]
    return {
        **data,
        "quantities": quantities,
        "samples": {name: len(values) for name, values in data["samples"].items()},
        "digest": "",  # of the measured times too
    }


def _rows(text: str) -> list[list[str]]:
    rows = []
    for row in csv.DictReader(io.StringIO(text)):
        if row["unit"] in MEASURED_UNITS:
            row |= {"value": "", "ci_low": "", "ci_high": ""}
        rows.append(list(row.values()))
    return rows


def _parquet_as_csv(path: Path) -> str:
    import pandas as pd

    return pd.read_parquet(path).to_csv(index=False)


def _last_lines(path: Path) -> list[str]:
    """The last whole line of each slice."""
    by_index = {}
    for line in path.read_text().splitlines():
        try:
            by_index[json.loads(line)["index"]] = line
        except ValueError:
            continue
    return list(by_index.values())


def _objects(path: Path) -> list[str]:
    return [path.read_text()] if path.suffix == ".json" else path.read_text().splitlines()


def _without(data: dict[str, Any], name: str) -> str:
    return json.dumps({key: value for key, value in data.items() if key != name}, sort_keys=True)


def _but_second(values: list[str]) -> list[str]:
    return values[:1] + values[2:]
