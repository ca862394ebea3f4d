"""Pairs of noise and image, computed once and kept: what a reflow learns from.

Pair i is noise of seed i and the caption of train image i. The noise is drawn again when it is needed; what is stored
are the latents that a sampler made of it, in parts, so that a stopped computation goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from bench.suites.shapes.generator.networks import LATENT_CHANNELS, LATENT_SIZE
from bench.training.order import Order
from bench.training.workshop import Workshop
from methods.diffusion.noise import initial_noise
from methods.distill.denoiser import Condition
from methods.distill.objective import Batch
from methods.distill.parallel import current_share, wait_for_all

PART = 1024
_CHUNK = 128  # as the latents are encoded
_SEED = 2**40  # the first pair's; no image of a benchmark has it

Sampler = Callable[[Tensor, Condition], Tensor]
"""(noise (N, C, H, W), condition) -> scaled latents like the noise."""


def pair_noise(indices: Tensor) -> Tensor:
    """float32 (N, 8, 8, 8): the noise of pairs, whichever is asked for with which others."""
    seeds = [_SEED + index for index in indices.tolist()]
    return initial_noise(seeds, (LATENT_CHANNELS, LATENT_SIZE, LATENT_SIZE))


@dataclass(frozen=True)
class PairFolder:
    """A set of `count` pairs, stored as float16 latents in parts of `PART`."""

    folder: Path
    count: int

    def write(self, shop: Workshop, conditions: Callable[[Tensor], Condition], sampler: Sampler) -> None:
        """Compute the parts that are missing; each process takes its own."""
        self.folder.mkdir(parents=True, exist_ok=True)
        share = current_share()
        for number, start in enumerate(range(0, self.count, PART)):
            path = self._part(number)
            if number % share.ranks == share.rank and not path.exists():
                _write_part(path, range(start, min(start + PART, self.count)), conditions, sampler)
                shop.console.print(f"pairs {min(start + PART, self.count):,} of {self.count:,} in {self.folder}")
        wait_for_all()

    def latents(self) -> Tensor:
        """float16 (count, 8, 8, 8)."""
        parts = -(-self.count // PART)
        return torch.cat([load_file(self._part(number))["latents"] for number in range(parts)])

    def seconds(self) -> float:
        """What computing them took: that of all parts, shared by the processes that there are."""
        parts = range(-(-self.count // PART))
        return sum(_seconds(self._part(number)) for number in parts) / current_share().ranks

    def _part(self, number: int) -> Path:
        return self.folder / f"pairs-{number:04d}.safetensors"


class PairBatches:
    """Batches of pairs in the order of `seed`: "noise", "latents" and "condition"."""

    def __init__(
        self, pairs: PairFolder, conditions: Callable[[Tensor], Condition], batch_size: int, seed: int
    ) -> None:
        self.latents, self._conditions = pairs.latents(), conditions
        self.batch_size, self.order = batch_size, Order(pairs.count, seed)

    def __call__(self, step: int) -> Batch:
        rows = current_share().rows(torch.tensor(self.order.indices(step * self.batch_size, self.batch_size)))
        return {
            "latents": self.latents[rows].float(),
            "noise": pair_noise(rows),
            "condition": self._conditions(rows),
        }


def _seconds(path: Path) -> float:
    with safe_open(path, framework="pt") as file:
        return float(file.metadata()["seconds"])


def _write_part(path: Path, indices: range, conditions: Callable[[Tensor], Condition], sampler: Sampler) -> None:
    began = time.monotonic()
    chunks = torch.split(torch.tensor(indices), _CHUNK)
    made = torch.cat([sampler(pair_noise(chunk), conditions(chunk)).half() for chunk in chunks])
    partial = path.with_suffix(".partial")
    save_file({"latents": made}, partial, {"seconds": f"{time.monotonic() - began:.6f}"})
    partial.replace(path)
