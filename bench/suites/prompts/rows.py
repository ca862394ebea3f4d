"""Prompts from a file: text, CSV, TSV, JSON lines or Parquet. No torch."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from methods.jsonfile import parse_json

TEXT_COLUMNS = ("prompt", "text", "caption")
CATEGORY_COLUMNS = ("category",)
ID_COLUMNS = ("id", "prompt_id", "image_id")
_SAFE_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
MAX_BYTES = 64 * 2**20
MAX_PROMPTS = 1_000_000
MAX_LETTERS = 10_000
MAX_ID = 100
SUFFIXES = (".txt", ".csv", ".tsv", ".jsonl", ".parquet")


@dataclass(frozen=True)
class Row:
    """One prompt of a file."""

    id: str
    text: str
    category: str


def read_rows(path: Path) -> tuple[Row, ...]:
    """The prompts of `path`, in its order.

    A text file has one prompt a line. The other formats have a column (or key) `prompt`, `text` or `caption`, and may
    have `category` and `id`, in capital letters or not. A prompt without an id is called by its place.

    Raises:
        UsageError: for a file that cannot be read so, naming the line and the fix.
    """
    if not path.is_file():
        raise UsageError(f"{path} is not a file; name a file of prompts ({', '.join(SUFFIXES)})")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{path}: prompts come from {', '.join(SUFFIXES)} files; rename or convert it")
    items = _parquet(path) if suffix == ".parquet" else _textual(path, suffix)
    rows = [_row(path, place, index, item) for index, (place, item) in enumerate(islice(items, MAX_PROMPTS + 1))]
    if len(rows) > MAX_PROMPTS:
        raise UsageError(f"{path} has more than {MAX_PROMPTS:,} prompts; split it")
    if not rows:
        raise UsageError(f"{path} has no prompts in it; there is nothing to measure")
    seen: dict[str, str] = {}
    for row in rows:
        if row.id.lower() in seen:
            raise UsageError(f"{path}: id {row.id!r} is there twice; ids must be unique, whatever their case")
        seen[row.id.lower()] = row.text
    return tuple(rows)


def _textual(path: Path, suffix: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{path} has more than {MAX_BYTES:,} bytes, too many for prompts; split it")
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})") from error
    if suffix == ".txt":
        return _lines(content)
    return (
        _json_lines(path, content) if suffix == ".jsonl" else _table(path, content, "\t" if suffix == ".tsv" else ",")
    )


def _lines(content: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in enumerate(content.rstrip("\r\n").split("\n") if content.strip() else (), start=1):
        yield f"line {number}", {"prompt": line.rstrip("\r")}


def _json_lines(path: Path, content: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            value = parse_json(line)
        except ValueError as error:
            raise UsageError(f"{path} line {number} is not JSON ({error}); one object a line is due") from error
        if not isinstance(value, (str, dict)):
            raise UsageError(f"{path} line {number} is neither an object nor a string; one object a line is due")
        yield f"line {number}", {"prompt": value} if isinstance(value, str) else value


def _table(path: Path, content: str, delimiter: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    lines = io.StringIO(content, newline="")
    if delimiter == ",":
        reader = csv.DictReader(lines)
    else:  # a quotation mark in a table with tabs is one of the prompt's own
        reader = csv.DictReader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    try:
        _text_column(path, reader.fieldnames or ())
        for row in reader:
            yield f"line {reader.line_num}", {key: value for key, value in row.items() if key is not None}
    except csv.Error as error:
        raise UsageError(f"{path} line {reader.line_num}: {error}") from error


def _parquet(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    import pyarrow as pa
    from pyarrow import parquet

    number = 0
    try:
        with parquet.ParquetFile(path) as file:  # in pieces: a small file may hold any number of equal rows
            names = file.schema_arrow.names
            _text_column(path, names)
            wanted = [name for name in names if name.lower() in (*TEXT_COLUMNS, *CATEGORY_COLUMNS, *ID_COLUMNS)]
            for batch in file.iter_batches(batch_size=1024, columns=wanted, use_threads=False):
                if batch.nbytes > MAX_BYTES:
                    raise UsageError(f"{path} has more than {MAX_BYTES:,} bytes in 1,024 rows; shorten its prompts")
                for row in batch.to_pylist():
                    number += 1
                    yield f"row {number}", row
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UsageError(f"{path} cannot be read as Parquet ({str(error).partition(chr(10))[0]})") from error


def _text_column(path: Path, names: Sequence[str]) -> None:
    if not any(str(name).strip().lower() in TEXT_COLUMNS for name in names):
        found = ", ".join(str(name) for name in names) or "none"
        raise UsageError(f"{path} has no column {' or '.join(TEXT_COLUMNS)} (its columns: {found}); name one so")


def _row(path: Path, place: str, index: int, item: Mapping[str, Any]) -> Row:
    fields = {str(key).strip().lower(): value for key, value in item.items()}
    text = _first(fields, TEXT_COLUMNS)
    if not isinstance(text, str) or not text.strip():
        raise UsageError(f"{path} {place}: the prompt is empty; remove the line or write one")
    if "\0" in text:
        raise UsageError(f"{path} {place}: the prompt has a NUL character in it; remove it")
    if len(text) > MAX_LETTERS:
        raise UsageError(f"{path} {place}: the prompt has {len(text):,} letters; {MAX_LETTERS:,} are possible")
    name = _first(fields, ID_COLUMNS)
    name = f"{index:05d}" if name is None or name == "" else str(name)
    if not _SAFE_ID.fullmatch(name):
        raise UsageError(f"{path} {place}: id {name!r} cannot be a file name; use letters, digits, '.', '_' and '-'")
    if len(name) > MAX_ID:
        raise UsageError(f"{path} {place}: id {name[:20]!r}… has {len(name):,} letters; {MAX_ID} are possible")
    category = str(_first(fields, CATEGORY_COLUMNS) or "all").strip()[:MAX_LETTERS]
    if not _is_unicode(text + category):
        raise UsageError(f"{path} {place}: half a surrogate pair is no letter; remove it")
    return Row(name, text.strip(), category)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _first(fields: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((fields[name] for name in names if fields.get(name) is not None), None)
