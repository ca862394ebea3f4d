"""Latents and text embeddings, computed once and kept on disk by the hash of what they were made from.

An entry's key is the hash of the image file (or of the caption) with that of the networks that encoded it and the
resolution, so that a changed image, caption or network is encoded anew and nothing else is. Latents are the posterior's
mean, scaled, in float32; SDXL's autoencoder overflows in half precision and is never run in it. Text is kept in half
precision, as its published encoders run.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bench.errors import FewstepError
from bench.fullscale.data import Sample
from bench.fullscale.pictures import square, to_unit_range
from methods.distill.draws import Share
from methods.distill.parallel import wait_for_all

_CAPTIONS_AT_ONCE = 16


@dataclass(frozen=True)
class Encoded:
    """One sample: scaled latents (C, h, w), token embeddings (L, D), pooled embedding (P,), time ids (6,); float32."""

    latents: Tensor
    time_ids: Tensor
    embeds: Tensor
    pooled: Tensor


class Digests:
    """sha256 of image files, remembered by size and time of change, so that a resumed training reads none twice."""

    def __init__(self, folder: Path, rank: int) -> None:
        self._folder, self._rank = folder, rank
        self._known: dict[str, list[Any]] = {}
        self.load()

    def load(self) -> None:
        """Take in what all processes have written."""
        for path in sorted(self._folder.glob("digests-*.json")):
            self._known |= json.loads(path.read_text(encoding="utf-8"))

    def save(self) -> None:
        """Write what this process knows."""
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = self._folder / f"digests-{self._rank}.partial"
        partial.write_text(json.dumps(self._known), encoding="utf-8")
        os.replace(partial, self._folder / f"digests-{self._rank}.json")

    def of(self, sample: Sample) -> str:
        """The hash of the sample's image file, in hexadecimal."""
        try:
            stat = sample.file.stat()
        except OSError as error:
            raise FewstepError(f"{sample.label}: cannot be read ({error.strerror})") from error
        key = f"{sample.file.absolute()}:{sample.offset}"
        state = [stat.st_size, stat.st_mtime_ns, sample.size]
        known = self._known.get(key)
        if known is None or known[:-1] != state:
            known = [*state, hashlib.sha256(sample.read()).hexdigest()]
            self._known[key] = known
        return str(known[-1])


class Encodings:
    """The cache in `folder` for one teacher and resolution. `vae` and `text` are the hashes of what encodes."""

    def __init__(self, folder: Path, *, vae: str, text: str, resolution: int, share: Share) -> None:
        self.resolution, self.share = resolution, share
        self._images = folder / f"latents-{vae[:16]}-{resolution}"
        self._captions = folder / f"text-{text[:16]}"
        self.digests = Digests(folder, share.rank)

    def of(self, sample: Sample) -> Encoded:
        """What was computed for a sample.

        Raises:
            FewstepError: where it was not, since the image has changed meanwhile.
        """
        image, text = self.image_file(sample), self.caption_file(sample)
        if not (image.exists() and text.exists()):
            raise FewstepError(f"{sample.label}: changed while the training ran; start the same command again")
        latents, words = load_file(image), load_file(text)
        return Encoded(latents["latents"], latents["time_ids"], words["embeds"].float(), words["pooled"].float())

    def pixels(self, sample: Sample) -> Tensor:
        """uint8 (3, R, R): what the latents of the sample were encoded from."""
        return square(sample, sample.read(), self.resolution)[0]

    def missing(self, samples: Iterable[Sample]) -> tuple[list[Sample], list[Sample]]:
        """Of this process's samples, those whose image, and those whose caption, is not there yet, each once."""
        images: dict[Path, Sample] = {}
        captions: dict[Path, Sample] = {}
        for sample in list(samples)[self.share.rank :: self.share.ranks]:
            images.setdefault(self.image_file(sample), sample)
            captions.setdefault(self.caption_file(sample), sample)
        self.digests.save()
        return [each for path, each in images.items() if not path.exists()], [
            each for path, each in captions.items() if not path.exists()
        ]

    def image_file(self, sample: Sample) -> Path:
        """Where the latents of a sample are kept."""
        return _entry(self._images, self.digests.of(sample))

    def caption_file(self, sample: Sample) -> Path:
        """Where the text embeddings of a sample are kept."""
        return _entry(self._captions, hashlib.sha256(sample.caption.encode()).hexdigest())


@torch.no_grad()
def encode_missing(
    encodings: Encodings, samples: Iterable[Sample], pipe: Any, device: torch.device, said: Callable[[str], None]
) -> None:
    """Encode what is not in the cache: each process its part, all of them waiting for the last.

    Args:
        encodings: The cache.
        samples: All that the training will see.
        pipe: The teacher's pipeline in float32. Its autoencoder and text encoders are moved to `device` for this.
        device: Where to encode.
        said: Is given progress, in words.

    Raises:
        FewstepError: naming an image that cannot be read.
    """
    images, captions = encodings.missing(samples)
    if images:
        pipe.vae.to(device)
        for count, sample in enumerate(images, start=1):
            _encode_image(encodings, sample, pipe.vae, device)
            said(f"latents {count}/{len(images)}")
    if captions:
        for encoder in (pipe.text_encoder, pipe.text_encoder_2):
            encoder.to(device)
        for start in range(0, len(captions), _CAPTIONS_AT_ONCE):
            _encode_captions(encodings, captions[start : start + _CAPTIONS_AT_ONCE], pipe, device)
            said(f"captions {min(start + _CAPTIONS_AT_ONCE, len(captions))}/{len(captions)}")
    encodings.digests.save()
    wait_for_all()
    encodings.digests.load()


def _encode_image(encodings: Encodings, sample: Sample, vae: Any, device: torch.device) -> None:
    pixels, time_ids = square(sample, sample.read(), encodings.resolution)
    posterior = vae.encode(to_unit_range(pixels)[None].to(device)).latent_dist
    latents = posterior.mean[0].float().cpu() * vae.config.scaling_factor
    if not bool(latents.isfinite().all()):
        raise FewstepError(f"{sample.label}: its latents are not finite; use another autoencoder")
    _write(encodings.image_file(sample), {"latents": latents, "time_ids": time_ids})


def _encode_captions(encodings: Encodings, samples: Sequence[Sample], pipe: Any, device: torch.device) -> None:
    """As the stock pipeline encodes prompts."""
    prompts = [sample.caption for sample in samples]
    embeds, _, pooled, _ = pipe.encode_prompt(prompts, device=device, do_classifier_free_guidance=False)
    for row, sample in enumerate(samples):
        _write(encodings.caption_file(sample), {"embeds": embeds[row].half().cpu(), "pooled": pooled[row].half().cpu()})


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial)
    os.replace(partial, path)


def _entry(folder: Path, digest: str) -> Path:
    return folder / digest[:2] / f"{digest}.safetensors"
