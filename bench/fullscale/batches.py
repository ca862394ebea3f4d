"""Batches by step: which samples a step has depends on (seed, step) alone, and each process reads its own share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch

from bench.fullscale.data import Sample
from bench.fullscale.encode import Encodings
from bench.fullscale.pictures import to_unit_range
from bench.training.order import Order
from methods.distill.denoiser import Condition
from methods.distill.objective import Batch
from methods.distill.parallel import current_share


class Batches:
    """Batch k: "latents" (N, C, h, w), "condition", and "pixels" (N, 3, R, R) in -1..1 where they are wanted.

    N is this process's share of `batch_size`.
    """

    def __init__(
        self, samples: Sequence[Sample], encodings: Encodings, order: Order, batch_size: int, *, with_pixels: bool
    ) -> None:
        self.samples, self.encodings, self.order = samples, encodings, order
        self.batch_size, self.with_pixels = batch_size, with_pixels

    def __call__(self, step: int) -> Batch:
        rows = current_share().rows(self.order.indices(step * self.batch_size, self.batch_size))
        samples = [self.samples[row] for row in rows]
        found = [self.encodings.of(sample) for sample in samples]
        condition = Condition(
            torch.stack([each.embeds for each in found]),
            torch.stack([each.pooled for each in found]),
            torch.stack([each.time_ids for each in found]),
        )
        made: dict[str, Any] = {"latents": torch.stack([each.latents for each in found]), "condition": condition}
        if self.with_pixels:
            made["pixels"] = to_unit_range(torch.stack([self.encodings.pixels(sample) for sample in samples]))
        return made


class Ahead:
    """Reads the next batch in a thread while the present one is trained on."""

    def __init__(self, batch_at: Callable[[int], Batch], steps: int) -> None:
        self._batch_at, self._steps = batch_at, steps
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._next: tuple[int, Future[Batch]] | None = None

    def __call__(self, step: int) -> Batch:
        waiting = self._next
        batch = waiting[1].result() if waiting is not None and waiting[0] == step else self._batch_at(step)
        self._next = (step + 1, self._reader.submit(self._batch_at, step + 1)) if step + 1 < self._steps else None
        return batch

    def close(self) -> None:
        """Let the thread end."""
        self._reader.shutdown(cancel_futures=True)
