"""Strips of cells that have images but none yet, made once and kept beside those that a run writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from bench.record import Record
from bench.report.naming import is_file_name
from bench.report.sheets import SUFFIXES, Pixels, StoredPrompt
from bench.strips import SUFFIX, write_strip

IMAGES = 16


def make_missing_strips(results: Path, records: Iterable[Record], prompts: Sequence[StoredPrompt]) -> list[str]:
    """Write a strip of the first `IMAGES` prompts for each measured cell that lacks one.

    Returns:
        One line about each cell of which that was not possible; the report goes without its images.
    """
    problems = []
    for record in records:
        name = record.cell.name
        folder = results / "images" / name
        if not is_file_name(name) or record.status != "ok" or not folder.is_dir() or _has_strip(results, name):
            continue
        try:
            if images := _first_images(folder, prompts):
                write_strip(images, results / "sheets" / f"{name}{SUFFIX}")
        except (OSError, SyntaxError, ValueError) as error:
            problems.append(f"no thumbnails of {name}: {error}")
    return problems


def _has_strip(results: Path, name: str) -> bool:
    return any((results / "sheets" / f"{name}{suffix}").is_file() for suffix in SUFFIXES)


def _first_images(folder: Path, prompts: Sequence[StoredPrompt]) -> list[Pixels]:
    """The images of the first prompts, as far as there is one for each."""
    found = []
    for prompt in prompts[:IMAGES]:
        path = folder / f"{prompt.id}.png"
        if not is_file_name(prompt.id) or not path.is_file():
            break
        with Image.open(path) as image:
            found.append(np.asarray(image.convert("RGB"), dtype=np.uint8))
    return found
