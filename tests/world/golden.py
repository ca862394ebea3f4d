"""Write the golden pictures again, where the world was changed on purpose: python -m tests.world.golden"""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from bench.suites.shapes.render import render
from bench.suites.shapes.scenes import SPLITS, make_scenes

PATH = Path(__file__).with_name("golden.png")
COLUMNS = 8


def sheet() -> Tensor:
    """uint8 (H, W, 3): the first images of each split, a row a split."""
    rows = [torch.cat(list(render(make_scenes(split, range(COLUMNS)))), dim=2) for split in SPLITS]
    return torch.cat(rows, dim=1).permute(1, 2, 0).contiguous()


def stored() -> Tensor:
    """uint8 (H, W, 3): the sheet in the repository."""
    with Image.open(PATH) as image:
        return torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).reshape(image.height, image.width, 3)


if __name__ == "__main__":
    Image.fromarray(sheet().numpy()).save(PATH, optimize=True)
