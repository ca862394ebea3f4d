"""The random numbers of one training step: they belong to samples, so that any number of processes draws the same.

Each process draws for the whole batch and keeps the rows of its own share. What a sample is given depends on its place
in the batch alone, and the gradient averaged over the processes is that of one process with the whole batch. Numbers
are drawn on the generator's device, the CPU, and moved to where they are needed: no device changes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

CPU = torch.device("cpu")
Rows = TypeVar("Rows", Tensor, list, tuple)  # type: ignore[type-arg]


@dataclass(frozen=True)
class Share:
    """Which part of every batch this process has: the `rank`-th of `ranks` equal parts."""

    rank: int = 0
    ranks: int = 1

    def rows(self, whole: Rows) -> Rows:
        """This process's rows of a tensor or sequence that has a row for every sample.

        Raises:
            ValueError: where the rows do not divide evenly.
        """
        if len(whole) % self.ranks:
            raise ValueError(f"a batch of {len(whole)} does not divide into {self.ranks} equal shares")
        mine = len(whole) // self.ranks
        return whole[self.rank * mine : (self.rank + 1) * mine]


@dataclass(frozen=True)
class Draws:
    """The stream of one step. Shapes are those of this process's share: the first number is its samples."""

    rng: torch.Generator
    share: Share = Share()
    device: torch.device = CPU

    def normal(self, n: int, *shape: int) -> Tensor:
        """Standard normal numbers (n, *shape)."""
        return self._mine(torch.randn(self._whole(n), *shape, generator=self.rng, device=self.rng.device))

    def uniform(self, n: int, *shape: int) -> Tensor:
        """Uniform numbers in 0..1, (n, *shape)."""
        return self._mine(torch.rand(self._whole(n), *shape, generator=self.rng, device=self.rng.device))

    def integers(self, low: int, high: int, n: int, *shape: int) -> Tensor:
        """int64 (n, *shape), uniform over low..high - 1."""
        size = (self._whole(n), *shape)
        return self._mine(torch.randint(low, high, size, generator=self.rng, device=self.rng.device))

    def stratified(self, n: int) -> Tensor:
        """Numbers (n,) in 0..1, never 1, one in each of equal intervals over the whole batch, shuffled."""
        whole, on = self._whole(n), self.rng.device
        u = (torch.arange(whole, device=on) + torch.rand(whole, generator=self.rng, device=on)) / whole
        u = u.clamp_max(1 - 2**-24)  # whole - 1 plus nearly 1 is whole, rounded
        return self._mine(u[torch.randperm(whole, generator=self.rng, device=on)])

    def _whole(self, n: int) -> int:
        return n * self.share.ranks

    def _mine(self, whole: Tensor) -> Tensor:
        return self.share.rows(whole).to(self.device)
