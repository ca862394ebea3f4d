"""The teacher's text embeddings of the train captions, computed once, each different caption one time, and kept."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bench.suites.shapes.training.data import LatentBatches
from bench.suites.shapes.training.teacher import Teacher, time_ids
from methods.distill.denoiser import Condition
from methods.distill.parallel import current_share, wait_for_all

_CHUNK = 512


class Texts:
    """The condition of train images by index, from a file of half precision that is mapped and not read whole."""

    def __init__(self, path: Path) -> None:
        tensors = load_file(path)
        self._caption, self._embeds, self._pooled = tensors["caption"], tensors["embeds"], tensors["pooled"]

    def __call__(self, indices: Tensor) -> Condition:
        """The condition, in float32, of the images at `indices` (N,); beyond the last they begin again."""
        rows = self._caption[indices % len(self._caption)]
        return Condition(self._embeds[rows].float(), self._pooled[rows].float(), time_ids(len(rows)))


def encoded_texts(latents: LatentBatches, teacher: Teacher) -> Texts:
    """The embeddings of all captions that `latents` come with, beside the file of the latents.

    Its name holds the hash of the text encoders, so that another teacher encodes its own.
    """
    path = latents.path.with_name(f"texts-{_fingerprint(teacher)}-{latents.path.stem}.safetensors")
    if not path.exists() and current_share().rank == 0:
        _write(path, latents.tokens, teacher)
    wait_for_all()
    return Texts(path)


@torch.no_grad()
def _write(path: Path, tokens: Tensor, teacher: Teacher) -> None:
    different, caption = torch.unique(tokens, dim=0, return_inverse=True)
    parts = [teacher.encode(chunk.long()) for chunk in torch.split(different, _CHUNK)]
    embeds, pooled = (torch.cat([part[k].half() for part in parts]) for k in range(2))
    partial = path.with_suffix(".partial")
    save_file({"caption": caption, "embeds": embeds, "pooled": pooled}, partial)
    partial.replace(path)


def _fingerprint(teacher: Teacher) -> str:
    """Hash of the two text encoders' numbers."""
    digest = hashlib.sha256()
    for encoder in (teacher.text_encoder, teacher.text_encoder_2):
        for name, tensor in encoder.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]
