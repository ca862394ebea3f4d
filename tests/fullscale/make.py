"""Small captioned image folders and tar shards, and a small DINOv2, for the tests of full-scale training."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import Dinov2Config, Dinov2Model

CAPTIONS = (
    "a red circle", "a blue star", "a green moon", "a large yellow cross", "a small red star", "a blue circle",
)  # fmt: skip
SIZES = ((40, 64), (64, 40), (50, 50), (64, 64), (33, 70), (48, 36))  # width, height


def picture(index: int, ending: str = ".png") -> bytes:
    """A file of an image that is a smooth pattern of its own."""
    width, height = SIZES[index]
    y, x = np.mgrid[0:height, 0:width] / 16
    channels = [127 + 120 * np.sin(x * (index + 1) + y * channel + index) for channel in range(3)]
    file = io.BytesIO()
    Image.fromarray(np.stack(channels, axis=2).astype(np.uint8)).save(file, {".png": "PNG", ".jpg": "JPEG"}[ending])
    return file.getvalue()


def write_folder(folder: Path, count: int = len(CAPTIONS)) -> Path:
    """Images with a text file of the same name each, one of them in a subfolder."""
    for index in range(count):
        path = folder / ("inner/" if index == 1 else "") / f"image{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(index))
        path.with_suffix(".txt").write_text(CAPTIONS[index] + "\n", encoding="utf-8")
    return folder


def write_shards(folder: Path) -> Path:
    """The same in two WebDataset shards, one with captions as text and one with them as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    for shard, (indices, ending) in enumerate((((0, 3, 4), "txt"), ((1, 2, 5), "json"))):
        with tarfile.open(folder / f"{shard:05}.tar", "w") as archive:
            for index in indices:
                key = f"{'inner/' if index == 1 else ''}image{index}"
                text = CAPTIONS[index] if ending == "txt" else json.dumps({"caption": CAPTIONS[index], "url": "none"})
                add(archive, f"{key}.{ending}", text.encode())
                add(archive, f"{key}.png", picture(index))
    return folder


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """One file of a tar."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def write_dino(folder: Path) -> Path:
    """A DINOv2 of two layers with random weights; its patches are large, since it sees images at 224 pixels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        config = Dinov2Config(
            hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=224, patch_size=56
        )  # fmt: skip
        Dinov2Model(config).save_pretrained(folder)
    return folder


def as_sdxl(pipeline: Path, folder: Path) -> Path:
    """A copy of a tiny pipeline that predicts noise on SDXL's own schedule, without zero terminal SNR."""
    shutil.copytree(pipeline, folder)
    path = folder / "scheduler" / "scheduler_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    changed = {"prediction_type": "epsilon", "rescale_betas_zero_snr": False, "timestep_spacing": "leading"}
    path.write_text(json.dumps({**config, **changed}), encoding="utf-8")
    return folder
