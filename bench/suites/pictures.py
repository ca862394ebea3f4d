"""An image file of a user's as a reference image: checked, cut to a square, resized once, rounded once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from bench.errors import FewstepError
from bench.pictures import PHOTOGRAPHS, ImageError, opened

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
        with opened(path, PHOTOGRAPHS) as file:
            _check_mode(path, file)
            image = ImageOps.exif_transpose(file).convert("RGB")
    except OSError as error:
        raise FewstepError(f"{path} cannot be read ({error.strerror}); get it again") from error
    except ImageError as error:
        raise FewstepError(f"{path} is {error}; get it again") from error
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
