"""Small folders and files in the layout of the real ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from bench.suites.coco.info import CAPTIONS, IMAGES


def write_coco(folder: Path, count: int = 12) -> Path:
    """`count` JPEGs of various sizes with two captions each; ids are not in order and captions not by image."""
    rng = np.random.default_rng(0)
    (folder / IMAGES).mkdir(parents=True)
    (folder / CAPTIONS).parent.mkdir()
    ids = [int(value) for value in rng.permutation(1000)[:count]]
    images, annotations = [], []
    for place, image_id in enumerate(ids):
        size = (24 + 3 * place, 40 - place)
        pixels = rng.integers(0, 255, size=(size[1], size[0], 3), dtype=np.uint8)
        name = f"{image_id:012d}.jpg"
        Image.fromarray(pixels).save(folder / IMAGES / name, quality=95)
        images.append({"id": image_id, "file_name": name})
        annotations.append({"id": 5000 - place, "image_id": image_id, "caption": f"late {image_id}"})
        annotations.append({"id": 100 + place, "image_id": image_id, "caption": f" first  {image_id}.\n"})
    (folder / CAPTIONS).write_text(json.dumps({"images": images, "annotations": annotations}))
    return folder
