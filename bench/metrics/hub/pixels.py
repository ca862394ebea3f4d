"""From stored images to what a pretrained network reads: one resize by Pillow, then scaling by mean and deviation.

Pillow's bicubic filter with antialiasing and 8-bit output is what CLIP, BLIP and DINOv2 were trained and published
with. Resizing tensors gives other pixels, so it is part of a score's protocol.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench.errors import WeightsError

CLIP_MEAN, CLIP_DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Pixels:
    """Resize to `size`, the shorter side with the middle kept, or both where `squash`; then normalise."""

    size: int
    mean: tuple[float, ...] = CLIP_MEAN
    deviation: tuple[float, ...] = CLIP_DEVIATION
    squash: bool = False

    @property
    def protocol(self) -> str:
        """The resize of a score's protocol."""
        return f"Pillow bicubic, 8 bits, {self.size}" + (" squashed" if self.squash else " centre crop")

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (N, 3, H, W) -> float32 (N, 3, size, size)."""
        resized = torch.stack([self._resized(image) for image in images])
        mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in (self.mean, self.deviation))
        return (resized.float() / 255 - mean) / deviation

    def _resized(self, image: Tensor) -> Tensor:
        _, height, width = image.shape
        if (height, width) == (self.size, self.size):
            return image
        picture = Image.fromarray(image.permute(1, 2, 0).contiguous().cpu().numpy())
        scale = self.size / min(width, height)
        target = (self.size, self.size) if self.squash else (int(width * scale), int(height * scale))
        picture = picture.resize(target, Image.Resampling.BICUBIC)
        left, top = ((side - self.size) // 2 for side in picture.size)
        picture = picture.crop((left, top, left + self.size, top + self.size))
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def read_pixels(folder: Path, size: int) -> Pixels:
    """The preprocessing that `preprocessor_config.json` asks for; CLIP's own where the file is not there.

    Raises:
        WeightsError: where it is damaged.
    """
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return Pixels(size)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Pixels(
            size,
            tuple(float(value) for value in data.get("image_mean", CLIP_MEAN)),
            tuple(float(value) for value in data.get("image_std", CLIP_DEVIATION)),
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path} is damaged: {error}") from error
