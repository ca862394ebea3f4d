"""In which order a training sees its samples: a function of (seed, place) alone, whatever came before a step."""

from __future__ import annotations

from collections.abc import Iterable

import torch


class Order:
    """Samples one after the other, each epoch shuffled by (seed, epoch); a batch may reach over an epoch's end."""

    def __init__(self, samples: int, seed: int) -> None:
        self.samples, self.seed = samples, seed
        self._shuffled: dict[int, list[int]] = {}

    def indices(self, start: int, count: int) -> list[int]:
        """Which samples stand at the places `start` .. `start + count - 1`."""
        return [self._epoch(place // self.samples)[place % self.samples] for place in range(start, start + count)]

    def needed(self, count: int) -> Iterable[int]:
        """Every sample among the first `count` places, once."""
        if count >= self.samples:
            return range(self.samples)
        return sorted(self.indices(0, count))

    def _epoch(self, epoch: int) -> list[int]:
        if epoch not in self._shuffled:
            rng = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            kept = {key: value for key, value in self._shuffled.items() if key == epoch - 1}
            self._shuffled = {**kept, epoch: torch.randperm(self.samples, generator=rng).tolist()}
        return self._shuffled[epoch]
