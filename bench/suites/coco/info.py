"""COCO 2017 validation from the folder of its published archives: which images, which caption of each. No torch.

The folder is what `val2017.zip` and `annotations_trainval2017.zip` unpack to: `val2017/*.jpg` and
`annotations/captions_val2017.json`. An image has about five captions; the one of the lowest annotation id is taken, a
choice that anybody can make again. Images are in the order of their ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.suites.info import SuiteInfo
from methods.jsonfile import read_json

COUNT = 5000
"""Images of the validation set."""

SIZE = 512
"""Pixels a side of the reference images, the resolution of the paper's samples."""

CAPTIONS = Path("annotations") / "captions_val2017.json"
IMAGES = "val2017"
METRICS = ("fid", "kid", "fd-dinov2", "clip-score")


@dataclass(frozen=True)
class Pick:
    """One image of the set and the caption that was chosen for it."""

    image_id: int
    annotation_id: int
    caption: str
    file_name: str


def read_picks(folder: Path) -> tuple[Pick, ...]:
    """All images of the set with their captions, in the order of image ids.

    Raises:
        UsageError: where the folder is not laid out so, naming what is missing.
    """
    path = folder / CAPTIONS
    if not path.is_file():
        raise UsageError(
            f"--coco {folder}: {CAPTIONS} is not there; unpack annotations_trainval2017.zip into the folder"
        )
    try:
        data = read_json(path)
        picks = _picks(data)
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is damaged or not COCO's captions ({error}); unpack it again") from error
    if len(picks) != COUNT:
        raise UsageError(f"{path} has captions of {len(picks):,} images and val2017 {COUNT:,}; unpack it again")
    missing = [pick.file_name for pick in picks if not (folder / IMAGES / pick.file_name).is_file()]
    if missing:
        raise UsageError(
            f"--coco {folder}: {len(missing):,} images are missing, such as {IMAGES}/{missing[0]}; "
            "unpack val2017.zip there"
        )
    return picks


def coco_info(folder: Path) -> SuiteInfo:
    """The suite of a COCO folder; its file of captions stands for it when a run is resumed."""
    count = len(read_picks(folder))
    title = "COCO 2017 validation, 5,000 images"
    return SuiteInfo("coco2017-5k", title, count, count, METRICS, SIZE, folder / CAPTIONS)


def _picks(data: Any) -> tuple[Pick, ...]:
    names = {int(image["id"]): _plain(str(image["file_name"])) for image in data["images"]}
    first: dict[int, tuple[int, str]] = {}
    for item in data["annotations"]:
        image, annotation, caption = int(item["image_id"]), int(item["id"]), str(item["caption"])
        if image in names and (image not in first or annotation < first[image][0]):
            first[image] = (annotation, caption)
    return tuple(Pick(image, *first[image], names[image]) for image in sorted(first))


def _plain(name: str) -> str:
    """A file name that stays in its folder.

    Raises:
        ValueError: for any other.
    """
    if name != Path(name).name or "\\" in name or name in (".", ".."):
        raise ValueError(f"file_name {name[:60]!r} is not a plain file name")
    return name
