"""Training data of the shapes suite: fresh images by index, and the generator's latents, computed once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTokenizer

from bench.suites.shapes.captions import captions
from bench.suites.shapes.generator.tokenizer import token_ids
from bench.suites.shapes.render import render
from bench.suites.shapes.scenes import make_scenes
from bench.suites.shapes.training.vae import to_unit_range
from bench.training.order import Order
from methods.distill.parallel import current_share

TRAIN_IMAGES = 131_072
"""How many images of the train split every generator, teacher and student, learns from."""

_CHUNK = 128  # larger activations fall out of the cache and encode several times slower


def fresh_images(split: str, batch_size: int) -> Callable[[int], dict[str, Any]]:
    """Batch k holds images k * batch_size .. of `split`: "images" uint8 and "scenes"."""

    def batch_at(step: int) -> dict[str, Any]:
        scenes = make_scenes(split, range(step * batch_size, (step + 1) * batch_size))
        return {"images": render(scenes), "scenes": scenes}

    return batch_at


@torch.no_grad()
def write_latents(path: Path, vae: AutoencoderKL, tokenizer: CLIPTokenizer) -> Iterator[int]:
    """Encode the train split into one file of float16 posterior means and int16 tokens; yields how many are done."""
    latents, tokens = [], []
    for start in range(0, TRAIN_IMAGES, _CHUNK):
        scenes = make_scenes("train", range(start, start + _CHUNK))
        latents.append(vae.encode(to_unit_range(render(scenes))).latent_dist.mean.half())
        tokens.append(token_ids(tokenizer, captions(scenes)).short())
        yield start + _CHUNK
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file({"latents": torch.cat(latents), "tokens": torch.cat(tokens)}, partial)
    partial.replace(path)


class LatentBatches:
    """Batches of cached latents in the order of `seed`."""

    def __init__(self, path: Path, batch_size: int, seed: int) -> None:
        self.path = path
        data = load_file(path)
        self.latents, self.tokens = data["latents"], data["tokens"]
        self.scaling_factor = 1 / float(self.latents[:8192].float().std())
        self.batch_size, self.order = batch_size, Order(len(self.latents), seed)

    def indices(self, step: int) -> Tensor:
        """int64: the train images of a step, those of this process's share."""
        return current_share().rows(torch.tensor(self.order.indices(step * self.batch_size, self.batch_size)))

    def __call__(self, step: int) -> dict[str, Any]:
        rows = self.indices(step)
        latents = self.latents[rows].float() * self.scaling_factor
        return {"latents": latents, "tokens": self.tokens[rows].long(), "indices": rows}
