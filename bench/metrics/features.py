"""Features of images, computed once an image and extractor, and kept on disk by content.

Images are taken in fixed slices. A slice is one file, named by the pixels of its images in order; it is read where it
is there and computed whole where not. So a row never depends on what an interrupted run left behind, although the last
digits of a row do depend on the rows computed beside it. Files of one extractor lie in one folder, named by the
extractor, the hash of its weights and its resize: other weights never see them. Only safetensors is written or read; a
file that is damaged counts as absent and is written again.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bench.errors import FewstepError
from bench.judging import FeatureExtractor

BATCH_SIZE = 256


def identity(extractor: FeatureExtractor) -> str:
    """What makes two extractors the same: name, weights and resize."""
    return f"{extractor.name}\0{extractor.weights_hash}\0{extractor.resize}"


def extract(images: Tensor, extractor: FeatureExtractor, batch_size: int = BATCH_SIZE) -> Tensor:
    """float32 (N, D) on the CPU: the features of uint8 images (N, 3, H, W), in slices of `batch_size`.

    Raises:
        ValueError: for images of another type or shape, or for no images.
    """
    _check_images(images)
    with torch.inference_mode():
        slices = [extractor(block).float().cpu() for block in torch.split(images, batch_size)]
    features = torch.cat(slices).clone()  # outside inference mode, so that it may be used anywhere
    if features.ndim != 2 or len(features) != len(images):
        raise ValueError(f"{extractor.name} gave features {tuple(features.shape)} for {len(images)} images")
    return features


class FeatureCache:
    """Features of one extractor, kept under `folder`.

    Args:
        folder: made on the first write; may be shared by several processes and several extractors.
        extractor: gives what is missing.
    """

    def __init__(self, folder: Path, extractor: FeatureExtractor) -> None:
        self._extractor = extractor
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", extractor.name).strip(".-") or "extractor"
        self.folder = folder / f"{stem}-{hashlib.sha256(identity(extractor).encode()).hexdigest()[:16]}"

    def features(self, images: Tensor, batch_size: int = BATCH_SIZE) -> Tensor:
        """float32 (N, D) for uint8 images (N, 3, H, W); only slices of `batch_size` never seen before are computed.

        Those of one slice are mapped from its file, so that a system short of memory may drop and read them again.

        Raises:
            FewstepError: where the folder cannot be written.
            ValueError: for images of another type or shape, or for no images.
        """
        _check_images(images)
        slices = [self._slice(block) for block in torch.split(images, batch_size)]
        return slices[0] if len(slices) == 1 else torch.cat(slices)

    def _slice(self, images: Tensor) -> Tensor:
        path = self.folder / f"{content_key(images)}.safetensors"
        known = _read(path, rows=len(images))
        if known is not None:
            return known
        self._write(extract(images, self._extractor, len(images)), path)
        written = _read(path, rows=len(images))
        if written is None:
            raise FewstepError(f"{path} cannot be read back right after it was written; check the disk")
        return written

    def _write(self, features: Tensor, path: Path) -> None:
        partial = path.with_suffix(f".{os.getpid()}.partial")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            save_file({"features": features}, partial, {"sha256": _digest(features)})
            partial.replace(path)
        except (OSError, SafetensorError) as error:
            raise FewstepError(
                f"cannot write features to {self.folder} ({error}); free space or choose another folder"
            ) from error


def content_key(images: Tensor) -> str:
    """64 hexadecimal digits: the sha256 of the shape and pixels of uint8 images (N, 3, H, W), in order."""
    digest = hashlib.sha256(repr(tuple(images.shape)).encode())
    digest.update(images.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _read(path: Path, rows: int) -> Tensor | None:
    """The features of one file, None where it is absent or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            features: Tensor = file.get_tensor("features")
            expected = (file.metadata() or {}).get("sha256")
    except (OSError, SafetensorError):
        return None
    return features if len(features) == rows and expected == _digest(features) else None


def _digest(features: Tensor) -> str:
    return hashlib.sha256(features.contiguous().numpy().tobytes()).hexdigest()


def _check_images(images: Tensor) -> None:
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3 or len(images) == 0:
        raise ValueError(
            f"images must be uint8 (N, 3, H, W) with N of at least 1, not {images.dtype} {tuple(images.shape)}"
        )
