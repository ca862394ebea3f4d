"""Captioned images on disk: a folder of files, or WebDataset tar shards. Both give the same samples in the same order.

A folder holds images with a text file of the same name beside each, or one `metadata.jsonl` or `metadata.csv` with the
columns `file_name` and `text` (or `caption`), as Hugging Face's imagefolder has it. A shard is an uncompressed tar
whose members share a key up to the first dot: `KEY.jpg` beside `KEY.txt`, or `KEY.json` with `text` or `caption`.
Shards are read with the standard library: their members lie uncompressed, so that any of them is one seek away.
"""

from __future__ import annotations

import csv
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

from bench.errors import FewstepError
from methods.jsonfile import parse_json

IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
METADATA = ("metadata.jsonl", "metadata.csv")
CAPTION_COLUMNS = ("text", "caption")
MAX_CAPTION_BYTES = 2**20


@dataclass(frozen=True)
class Sample:
    """One image with its caption. `name` is its path without the ending; `label` is how an error names it."""

    name: str
    caption: str
    file: Path
    label: str
    offset: int = 0
    size: int | None = None

    def read(self) -> bytes:
        """The bytes of the image file.

        Raises:
            FewstepError: where it is gone.
        """
        try:
            with self.file.open("rb") as file:
                file.seek(self.offset)
                return file.read(-1 if self.size is None else self.size)
        except OSError as error:
            raise FewstepError(f"{self.label}: cannot be read ({error.strerror})") from error


def read_samples(data: Path) -> list[Sample]:
    """All samples of a folder, of a folder of tar shards, or of one shard, by name.

    Raises:
        FewstepError: where nothing is there, an image has no caption, or two have one name.
    """
    if data.is_file() and data.suffix == ".tar":
        shards = [data]
    elif data.is_dir():
        shards = sorted(data.glob("*.tar"))
    else:
        raise FewstepError(f"--data {data}: no such folder or tar file")
    samples = [sample for shard in shards for sample in _in_shard(shard)] if shards else list(_in_folder(data))
    if not samples:
        raise FewstepError(f"--data {data}: no images in it; {', '.join(IMAGES)} and .tar are read")
    samples.sort(key=lambda sample: sample.name)
    for before, after in pairwise(samples):
        if before.name == after.name:
            raise FewstepError(f"{before.label} and {after.label} have one name; rename or remove one of them")
    return samples


def _in_folder(folder: Path) -> Iterator[Sample]:
    listed = _metadata(folder)
    images = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in IMAGES]
    without: list[Path] = []
    for path in images:
        inside = path.relative_to(folder)
        caption = listed.get(inside.as_posix())
        if caption is None and path.with_suffix(".txt").is_file():
            caption = _read_caption(path.with_suffix(".txt"))
        if caption is None:
            without.append(path)
        else:
            yield Sample(inside.with_suffix("").as_posix(), caption, path, str(path))
    if without:
        first = without[0]
        raise FewstepError(
            f"{first}: no caption; put it into {first.with_suffix('.txt').name} beside it or into {METADATA[0]}"
            f" ({len(without)} of {len(images)} images have none)"
        )


def _metadata(folder: Path) -> dict[str, str]:
    """Captions by path within the folder, from its metadata file, if it has one."""
    for name in METADATA:
        path = folder / name
        if path.is_file():
            return dict(_row(path, number, row) for number, row in enumerate(_rows(path), start=1))
    return {}


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            if path.suffix == ".csv":
                yield from csv.DictReader(file)
                return
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _json_object(line, f"{path}, line {number}")
    except (UnicodeDecodeError, csv.Error) as error:
        raise FewstepError(f"{path}: not a table in UTF-8 ({error})") from error


def _row(path: Path, number: int, row: Mapping[str, Any]) -> tuple[str, str]:
    caption = _caption(row)
    if not isinstance(row.get("file_name"), str) or caption is None:
        raise FewstepError(f"{path}, row {number}: needs file_name and one of {', '.join(CAPTION_COLUMNS)}")
    return PurePosixPath(row["file_name"]).as_posix(), caption


def _in_shard(shard: Path) -> Iterator[Sample]:
    """Images with captions of one tar file."""
    images: dict[str, tarfile.TarInfo] = {}
    captions: dict[str, str] = {}
    try:
        with tarfile.open(shard, "r:") as archive:
            for member in archive:
                key, suffix = _key(member.name)
                if not member.isfile():
                    continue
                if suffix in IMAGES:
                    if key in images:
                        raise FewstepError(f"{shard}: {images[key].name} and {member.name} share a key; remove one")
                    images[key] = member
                elif (caption := _caption_in(archive, member, suffix, shard)) is not None:
                    captions[key] = caption
    except FewstepError:
        raise
    except (tarfile.TarError, OSError, EOFError, ValueError, OverflowError) as error:
        raise FewstepError(f"{shard}: not a whole, uncompressed tar file ({error})") from error
    without = [member for key, member in images.items() if key not in captions]
    if without:
        raise FewstepError(
            f"{shard}: {without[0].name} has no caption; a shard holds KEY.txt or KEY.json beside KEY.jpg"
            f" ({len(without)} of {len(images)} images have none)"
        )
    for key, member in images.items():
        yield Sample(key, captions[key], shard, f"{shard}:{member.name}", member.offset_data, member.size)


def _key(name: str) -> tuple[str, str]:
    """A member's key and its ending in small letters: everything up to, and from, the first dot of its last part."""
    path = PurePosixPath(name)
    stem, dot, ending = path.name.partition(".")
    return path.with_name(stem or path.name).as_posix(), (dot + ending).lower()


def _caption_in(archive: tarfile.TarFile, member: tarfile.TarInfo, suffix: str, shard: Path) -> str | None:
    if suffix not in {".txt", ".caption", ".json"}:
        return None
    if member.size > MAX_CAPTION_BYTES:
        raise FewstepError(f"{shard}:{member.name}: {member.size:,} bytes are too many for a caption")
    file = archive.extractfile(member)
    text = "" if file is None else _decoded(file.read(), f"{shard}:{member.name}")
    return _caption(_json_object(text, f"{shard}:{member.name}")) if suffix == ".json" else text.strip()


def _read_caption(path: Path) -> str:
    if path.stat().st_size > MAX_CAPTION_BYTES:
        raise FewstepError(f"{path}: {path.stat().st_size:,} bytes are too many for a caption")
    return _decoded(path.read_bytes(), str(path)).strip()


def _decoded(content: bytes, where: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FewstepError(f"{where}: not UTF-8 (byte {error.start}); save it as UTF-8") from error


def _caption(row: Mapping[str, Any]) -> str | None:
    return next((row[name].strip() for name in CAPTION_COLUMNS if isinstance(row.get(name), str)), None)


def _json_object(text: str, where: str) -> Mapping[str, Any]:
    try:
        value = parse_json(text)
    except ValueError as error:
        raise FewstepError(f"{where}: not JSON ({error})") from error
    if not isinstance(value, dict):
        raise FewstepError(f"{where}: expected a JSON object")
    return value
