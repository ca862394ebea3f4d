"""`results.csv` and `results.parquet`: all measured records of an out folder as one tidy table."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from bench.errors import RecordError
from bench.record import Record, read_record
from bench.report.frame import TIDY_COLUMNS, tidy
from bench.text import cell_text

NAMES = ("results.csv", "results.parquet")


def write_results(records: Iterable[Record], folder: Path) -> pd.DataFrame:
    """Write both files, each whole or not at all, and return their table: one row a (cell, quantity)."""
    frame = tidy(records)[list(TIDY_COLUMNS)].astype(
        {"guidance_scale": "float64", "value": "float64", "ci_low": "float64", "ci_high": "float64"}
    )
    text = frame.select_dtypes(exclude="number").columns
    safe = frame.assign(**{name: frame[name].map(cell_text) for name in text})
    csv, parquet = (folder / name for name in NAMES)
    safe.to_csv(_partial(csv), index=False, lineterminator="\n")
    frame.to_parquet(_partial(parquet), index=False, engine="pyarrow")
    for path in (csv, parquet):
        _partial(path).replace(path)
    return frame


def readable_records(folder: Path) -> tuple[dict[str, Record], list[str]]:
    """The records of `folder` that can be read, by file name, and one line about each that cannot."""
    records, problems = {}, []
    for path in sorted(folder.glob("*.json")):
        try:
            records[path.name] = read_record(path)
        except RecordError as error:
            problems.append(str(error))
    return records, problems


def _partial(path: Path) -> Path:
    return path.with_name(path.name + ".partial")
