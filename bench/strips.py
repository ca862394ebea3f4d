"""Strips: a cell's first images side by side, small enough to keep with its record and to open on a phone.

An image larger than `LARGEST` is reduced to it, one that is not square stands on white. Small images are stored without
loss but for colours rounded to steps of 5 in 255, which nobody sees and which nearly halves the file; larger ones as
lossy WebP. The images themselves stay where the run keeps them; nothing is ever measured on a strip.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SUFFIX = ".webp"
LARGEST = 256
"""Pixels of the longer side of an image in a strip."""

COLOUR_STEP = 5
"""Colours of small images are rounded to multiples of this, which 255 is too: at most 2 of 255 away."""

_WIDEST = 16383  # pixels of a WebP
_SMALL = 64  # pixels up to which an image is stored without loss


def write_strip(images: Sequence[NDArray[np.uint8]], path: Path) -> None:
    """Write uint8 (H, W, 3) images side by side to `path`, whole or not at all."""
    tiles = [_tile(image) for image in images]
    side = max(max(tile.shape[:2]) for tile in tiles)
    tiles = [_square(tile, side) for tile in tiles[: _WIDEST // side]]
    strip = np.concatenate(tiles, axis=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.partial")
    if side <= _SMALL:
        rounded = (COLOUR_STEP * np.round(strip / COLOUR_STEP)).astype(np.uint8)
        Image.fromarray(rounded).save(unfinished, format="webp", lossless=True, quality=100, method=4)
    else:
        Image.fromarray(strip).save(unfinished, format="webp", quality=90, method=4)
    os.replace(unfinished, path)


def _tile(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    scale = LARGEST / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS), dtype=np.uint8)


def _square(tile: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The tile in the middle of a white square."""
    height, width = tile.shape[:2]
    if height == width == side:
        return tile
    square = np.full((side, side, 3), 255, dtype=np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = tile
    return square
