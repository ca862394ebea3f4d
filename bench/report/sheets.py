"""Stored images: the prompts, and each cell's strip of images of the first of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import RecordError
from bench.pictures import ImageError, opened
from bench.record import Record
from bench.report.naming import is_file_name
from bench.strips import SUFFIX
from methods.jsonfile import read_json

Pixels = NDArray[np.uint8]
"""uint8 (H, W, 3) RGB."""

SUFFIXES = (SUFFIX, ".png")
"""What strips are called: as they are written, and as earlier versions wrote them."""


@dataclass(frozen=True)
class StoredPrompt:
    """One line of `prompts.json`."""

    id: str
    text: str
    category: str


class Sheet:
    """The images of one cell, image k for prompt k. Its pixels are read when they are asked for."""

    def __init__(self, record: Record, path: Path, size: int, count: int) -> None:
        self.record = record
        self.path = path
        self.size = size
        """Height and width of one image in pixels."""
        self.count = count
        """How many images there are."""

    @property
    def file(self) -> str:
        """Its name below `sheets/`."""
        return self.path.name

    @cached_property
    def pixels(self) -> Pixels:
        """uint8 (H, K * H, 3).

        Raises:
            RecordError: where the file is damaged.
        """
        try:
            with opened(self.path, ("PNG", "WEBP")) as image:
                return np.asarray(image.convert("RGB"), dtype=np.uint8)
        except ImageError as error:
            raise _unreadable(self.path, error) from error

    def image(self, index: int) -> Pixels:
        """Image `index`, uint8 (H, H, 3)."""
        return self.pixels[:, index * self.size : (index + 1) * self.size]


def read_prompts(results: Path) -> tuple[StoredPrompt, ...]:
    """The prompts in order; none where the file is not there.

    Raises:
        RecordError: where the file is not a list of {id, text, category}.
    """
    path = results / "prompts.json"
    if not path.is_file():
        return ()
    try:
        data = read_json(path)
        return tuple(StoredPrompt(str(item["id"]), str(item["text"]), str(item["category"])) for item in data)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RecordError(f"{path}: not a list of prompts ({error}); run into this folder again") from error


def read_sheet(results: Path, record: Record) -> Sheet | None:
    """The strip of `record`, or None where none was stored.

    Raises:
        RecordError: where the file is not a strip of square images.
    """
    if not is_file_name(record.cell.name):  # a record of somebody else's
        return None
    folder = results / "sheets"
    names = (f"{record.cell.name}{suffix}" for suffix in SUFFIXES)
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        return None
    try:
        with opened(path, ("PNG", "WEBP")) as image:
            width, height = image.size
    except ImageError as error:
        raise _unreadable(path, error) from error
    if width % height:
        raise RecordError(f"{path}: {width}x{height} is no strip of square images; run the cell again with --force")
    return Sheet(record, path, height, width // height)


def _unreadable(path: Path, error: Exception) -> RecordError:
    return RecordError(f"{path}: not a readable image ({error}); run the cell again with --force")


def read_sheets(results: Path, records: tuple[Record, ...]) -> tuple[Sheet, ...]:
    """The strips of those records that have one, in their order."""
    found = (read_sheet(results, record) for record in records)
    return tuple(sheet for sheet in found if sheet is not None)
