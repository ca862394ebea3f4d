"""The random numbers of one training step: they belong to samples, so that any number of processes draws the same.

Each process draws for the whole batch and keeps the rows of its own share. What a sample is given depends on its place
in the batch alone, and the gradient averaged over the processes is that of one process with the whole batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Share:
    """Which part of every batch this process has: the `rank`-th of `ranks` equal parts."""

    rank: int = 0
    ranks: int = 1

    def rows(self, whole: Tensor) -> Tensor:
        """This process's rows of a tensor that has a row for every sample.

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

    def normal(self, n: int, *shape: int) -> Tensor:
        """Standard normal numbers (n, *shape)."""
        return self.share.rows(torch.randn(n * self.share.ranks, *shape, generator=self.rng))

    def uniform(self, n: int, *shape: int) -> Tensor:
        """Uniform numbers in 0..1, (n, *shape)."""
        return self.share.rows(torch.rand(n * self.share.ranks, *shape, generator=self.rng))

    def integers(self, low: int, high: int, n: int, *shape: int) -> Tensor:
        """int64 (n, *shape), uniform over low..high - 1."""
        return self.share.rows(torch.randint(low, high, (n * self.share.ranks, *shape), generator=self.rng))

    def stratified(self, n: int) -> Tensor:
        """Numbers (n,) in 0..1, never 1, one in each of equal intervals over the whole batch, shuffled."""
        whole = n * self.share.ranks
        u = (torch.arange(whole) + torch.rand(whole, generator=self.rng)) / whole
        u = u.clamp_max(1 - 2**-24)  # whole - 1 plus nearly 1 is whole, rounded
        return self.share.rows(u[torch.randperm(whole, generator=self.rng)])
