"""An image file as SDXL learns from it: cut to a square, with the time ids that say what was cut."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from bench.errors import FewstepError
from bench.fullscale.data import Sample
from bench.pictures import PHOTOGRAPHS, ImageError, opened


def square(sample: Sample, content: bytes, resolution: int) -> tuple[Tensor, Tensor]:
    """uint8 (3, R, R), and the time ids (6,): original height and width, top and left of the crop, R and R.

    The shorter side is resized to `resolution` and the middle kept, so that an image always gives the same pixels.

    Raises:
        FewstepError: naming the image that cannot be decoded.
    """
    try:
        with opened(content, PHOTOGRAPHS) as file:
            image = ImageOps.exif_transpose(file).convert("RGB")
    except ImageError as error:
        raise FewstepError(f"{sample.label}: not a readable image ({error}); replace or remove it") from error
    width, height = image.size
    scale = resolution / min(width, height)
    resized = (max(resolution, round(width * scale)), max(resolution, round(height * scale)))
    if resized != image.size:
        image = image.resize(resized, Image.Resampling.LANCZOS)
    left, top = ((side - resolution) // 2 for side in resized)
    pixels = np.array(image.crop((left, top, left + resolution, top + resolution)))
    time_ids = torch.tensor([height, width, top, left, resolution, resolution], dtype=torch.float32)
    return torch.from_numpy(pixels).permute(2, 0, 1), time_ids


def to_unit_range(images: Tensor) -> Tensor:
    """uint8 0..255 -> float32 in -1..1."""
    return images.float() / 127.5 - 1
