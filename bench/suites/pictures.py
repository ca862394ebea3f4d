"""An image file of a user's as a reference image: checked, cut to a square, resized once, rounded once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from bench.errors import FewstepError

CROP = "centre square"
RESIZE = "Pillow Lanczos, antialiased, 8 bits"
_PLAIN = ("RGB", "L", "CMYK", "YCbCr", "P")
"""Formats that become RGB without losing anything; grey photographs are part of COCO."""


def read_square(path: Path, size: int) -> Tensor:
    """uint8 (3, size, size): the middle square of the image.

    Raises:
        FewstepError: where the file is empty, damaged, cut short, or has 16 bits or an alpha channel.
    """
    try:
        if path.stat().st_size == 0:
            raise FewstepError(f"{path} is empty; get it again")
        with Image.open(path) as opened:
            _check_mode(path, opened)
            image = ImageOps.exif_transpose(opened).convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FewstepError(f"{path} is damaged, cut short or no image; get it again") from error
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    image = image.crop((left, top, left + side, top + side))
    if side != size:
        image = image.resize((size, size), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def _check_mode(path: Path, image: Image.Image) -> None:
    if image.mode.startswith(("I", "F")):
        raise FewstepError(f"{path} has more than 8 bits a channel ({image.mode}); convert it to 8-bit RGB")
    if image.mode not in _PLAIN or "transparency" in image.info:
        raise FewstepError(f"{path} has an alpha channel ({image.mode}); flatten it on a background of your choice")
