"""The image store: one lossless PNG a prompt, named by the prompt's id, so that a run goes on where it stopped."""

from __future__ import annotations

import io
import json
import os
import re
import struct
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from bench.errors import FewstepError
from bench.folder import write_json
from bench.judging import Prompt
from bench.strips import write_strip

_PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_DISK_BLOCK = 4096
_SAFE_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_SOURCE = "source.json"
_TIMES = "times.json"


class ImageStore:
    """Images of one cell in `folder`. `source` says what made them: weights and recipe."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, source: Mapping[str, Any]) -> int:
        """Get ready for images made by `source`; images of any other source are discarded. Returns how many were."""
        path = self.folder / _SOURCE
        discarded = 0
        if not path.is_file() or _read_json(path) != source:
            discarded = self.discard()
            write_json(path, source)
        return discarded

    def discard(self) -> int:
        """Delete all images here. Returns how many there were."""
        images = list(self.folder.glob("*.png"))
        (self.folder / _SOURCE).unlink(missing_ok=True)
        (self.folder / _TIMES).unlink(missing_ok=True)
        for path in images:
            path.unlink()
        return len(images)

    def has(self, prompt: Prompt) -> bool:
        """Whether the prompt's image is there, whole."""
        try:
            with self._path(prompt).open("rb") as file:
                file.seek(-len(_PNG_END), os.SEEK_END)
                return file.read() == _PNG_END
        except OSError:
            return False

    def write(self, prompts: Sequence[Prompt], images: Tensor) -> None:
        """Store uint8 (N, 3, H, W). A file that is cut short, as by a crash, has no end mark and counts as missing."""
        for prompt, image in zip(prompts, images.permute(0, 2, 3, 1).contiguous().numpy(), strict=True):
            encoded = _stored_png(image) if image.nbytes < _DISK_BLOCK else _deflated_png(image)
            with self._path(prompt).open("wb", buffering=0) as file:
                file.write(encoded)

    def read(self, prompts: Sequence[Prompt]) -> Tensor:
        """uint8 (N, 3, H, W), in the order of `prompts`.

        Raises:
            FewstepError: where an image cannot be read.
        """
        images = [_read_png(self._path(prompt)) for prompt in prompts]
        _same_size(prompts, images, self.folder)
        return torch.stack(images)

    def read_times(self, place: Mapping[str, Any]) -> dict[int, float]:
        """Seconds that each slice took, where slices were sampled in `place` (the same machine and threads)."""
        path = self.folder / _TIMES
        times = _read_json(path) if path.is_file() else None
        if not isinstance(times, dict) or times.get("place") != place:
            return {}
        return {int(index): float(value) for index, value in times["seconds"].items()}

    def write_times(self, place: Mapping[str, Any], seconds: Mapping[int, float]) -> None:
        """Keep the seconds of each slice, for a run that goes on later."""
        write_json(self.folder / _TIMES, {"place": dict(place), "seconds": {str(k): v for k, v in seconds.items()}})

    def _path(self, prompt: Prompt) -> Path:
        return self.folder / f"{prompt.stem}.png"


class ImageWriter:
    """Stores slices as they come; use it as a context, which ends with all stored.

    In the `background` one slice is stored while the next is sampled: right where a GPU samples. Where the same cores
    do both, the two only get in each other's way.
    """

    def __init__(self, store: ImageStore, *, background: bool) -> None:
        self._store = store
        self._pool = ThreadPoolExecutor(max_workers=1)
        self._background = background
        self._pending: Future[None] | None = None

    def __enter__(self) -> ImageWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._pool.shutdown(wait=True)
        if kind is None:
            self._settle()

    def write(self, prompts: Sequence[Prompt], images: Tensor) -> None:
        """Store or queue uint8 (N, 3, H, W); raises what storing the slice before it raised."""
        self._settle()
        if self._background:
            self._pending = self._pool.submit(self._store.write, prompts, images)
        else:
            self._store.write(prompts, images)

    def _settle(self) -> None:
        if self._pending is not None:
            self._pending.result()
            self._pending = None


def check_prompts(prompts: Sequence[Prompt]) -> None:
    """Ids become file names, so they must be safe and unique.

    Raises:
        FewstepError: naming the first prompt that is not.
    """
    if not prompts:
        raise FewstepError("the suite gave no prompts; there is nothing to measure")
    seen: set[str] = set()
    for prompt in prompts:
        if not _SAFE_ID.fullmatch(prompt.id):
            raise FewstepError(f"prompt id {prompt.id!r} cannot be a file name; use letters, digits, '.', '_' and '-'")
        name = prompt.stem.lower()
        if name in seen:
            raise FewstepError(f"prompt id {prompt.id!r} is there twice; ids must be unique, whatever their case")
        seen.add(name)


def write_sheet(images: Tensor, path: Path) -> None:
    """uint8 (N, 3, H, W) side by side as one strip, see `bench.strips`."""
    write_strip([image.permute(1, 2, 0).contiguous().numpy() for image in images], path)


def _deflated_png(image: NDArray[np.uint8]) -> bytes:
    """uint8 (H, W, 3) as a compressed PNG."""
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, format="png", compress_level=1)
    return encoded.getvalue()


def _stored_png(image: NDArray[np.uint8]) -> bytes:
    """uint8 (H, W, 3) as an uncompressed PNG (ISO/IEC 15948), for images that fit a disk block, where compression would
    save no space. Six times as fast as Pillow, whose encoder took a thirtieth of the time of sampling in one step."""
    height, width, _ = image.shape
    rows = np.zeros((height, 1 + 3 * width), dtype=np.uint8)  # each row begins with its filter: 0, none
    rows[:, 1:] = image.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits of RGB, not interlaced
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 0)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


def _read_png(path: Path) -> Tensor:
    again = "delete it and run the same command again"
    try:
        if path.stat().st_size == 0:
            raise FewstepError(f"{path} is empty; {again}")
        with Image.open(path) as file:
            if file.mode != "RGB":
                raise FewstepError(
                    f"{path} is {_MODES.get(file.mode, file.mode)}, not 8-bit RGB as it was stored; {again}"
                )
            pixels = np.array(file)
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        raise FewstepError(f"{path} cannot be read as an image: it is damaged or cut short; {again}") from error
    return torch.from_numpy(pixels).permute(2, 0, 1)


_MODES = {"L": "grey", "LA": "grey with alpha", "RGBA": "RGB with alpha", "P": "a palette", "I;16": "16-bit grey"}
"""Pillow's names of pixel formats, for people."""


def _same_size(prompts: Sequence[Prompt], images: Sequence[Tensor], folder: Path) -> None:
    """Refuse images of different sizes, naming the first that differs."""
    for prompt, image in zip(prompts, images, strict=True):
        if image.shape != images[0].shape:
            (_, height, width), (_, first_height, first_width) = image.shape, images[0].shape
            raise FewstepError(
                f"{folder / prompt.stem}.png is {width} x {height} pixels and {prompts[0].stem}.png "
                f"{first_width} x {first_height}; delete the wrong one and run the same command again"
            )


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
