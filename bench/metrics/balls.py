"""Which reference images are covered by balls of generated images, when some of those are left out.

Kept as short lists of candidates, never as a matrix of all pairs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.metrics.statistics import Array

Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]

SPLITS = 64
"""How many times the images are split into halves."""

_BATCH_ELEMENTS = 2**22
"""Elements that are held at once while images are left out."""


@dataclass(frozen=True)
class Candidates:
    """The smallest values of each row and the columns they stand in, smallest first: (N, C) each."""

    indices: Indices
    values: Array

    @classmethod
    def none(cls, rows: int, width: int) -> Candidates:
        """Nothing found yet."""
        return cls(np.zeros((rows, width), dtype=np.intp), np.full((rows, width), np.inf))

    def merge(self, rows: slice, found: Array, start: int) -> None:
        """Take the values (len(rows), M) of the columns from `start` on."""
        width = self.values.shape[1]
        near = np.argpartition(found, min(width, found.shape[1]) - 1, axis=1)[:, :width]
        values = np.concatenate([self.values[rows], np.take_along_axis(found, near, axis=1)], axis=1)
        places = np.concatenate([self.indices[rows], near + start], axis=1)
        order = np.argsort(values, axis=1, kind="stable")[:, :width]
        self.values[rows] = np.take_along_axis(values, order, axis=1)
        self.indices[rows] = np.take_along_axis(places, order, axis=1)


@dataclass(frozen=True)
class Neighbours:
    """The nearest others of each row in its own set, nearest first: indices and squared distances, (N, C), C > k."""

    k: int
    indices: Indices
    squared: Array

    @property
    def radii(self) -> Array:
        """(N,): the squared distance to the k-th nearest."""
        return self.squared[:, self.k - 1]

    def radii_within(self, kept: Mask) -> Array:
        """(B, N): the squared distance to the k-th nearest of those that are kept (B, N)."""
        rank = np.cumsum(kept[:, self.indices], axis=2, dtype=np.uint8)
        last = np.minimum((rank < self.k).sum(axis=2), self.squared.shape[1] - 1)
        within: Array = self.squared[np.arange(len(self.squared)), last]
        return within


class Balls(ABC):
    """Generated images that may cover each reference image: `candidates` (M, C), and whether they do now."""

    def __init__(self, candidates: Indices, inside: Mask) -> None:
        self.candidates, self.inside = candidates, inside

    def shares_within(self, kept: Mask) -> Array:
        """(B,): the share of reference images that those of the generated images cover which are kept (B, N)."""
        size = max(1, _BATCH_ELEMENTS // max(self.candidates.size, self.most_elements))
        blocks = [kept[start : start + size] for start in range(0, len(kept), size)]
        return np.concatenate([self.covered(block).any(axis=2).mean(axis=1) for block in blocks])

    @property
    def most_elements(self) -> int:
        """Elements of the largest array that `covered` needs for one row of `kept`."""
        return self.candidates.size

    @abstractmethod
    def covered(self, kept: Mask) -> Mask:
        """(B, M, C): which candidates cover when only some generated images are kept (B, N)."""

    @abstractmethod
    def gains(self, alone: Mask) -> tuple[Mask, Indices]:
        """What growing balls make up for when one image is left out.

        Given which reference images are covered by one image alone: which of these stay covered without it, and for
        each of the others that are not covered yet, the images without which they would be, one entry a pair.
        """


class FixedBalls(Balls):
    """Balls around the reference images: they do not depend on the generated ones."""

    def covered(self, kept: Mask) -> Mask:
        """The balls are the same, and hold what is kept."""
        found: Mask = self.inside & kept[:, self.candidates]
        return found

    def gains(self, alone: Mask) -> tuple[Mask, Indices]:
        """None: no ball grows."""
        return np.zeros_like(alone), np.zeros(0, dtype=np.intp)


class OwnBalls(Balls):
    """Balls around the generated images, which grow when neighbours are left out.

    Args:
        tightest: for each reference image, the generated images whose balls reach it best, by squared distance over
            squared radius.
        own: the neighbours of the generated images.
    """

    def __init__(self, tightest: Candidates, own: Neighbours) -> None:
        super().__init__(tightest.indices, tightest.values <= 1)
        self._own = own
        with np.errstate(invalid="ignore"):
            self._squared = np.where(tightest.values == 0, 0.0, tightest.values * own.radii[tightest.indices])

    @property
    def most_elements(self) -> int:
        """The lists of neighbours are looked through too."""
        return max(self.candidates.size, self._own.indices.size)

    def covered(self, kept: Mask) -> Mask:
        """Balls around what is kept, with radii among those kept."""
        radii = self._own.radii_within(kept) * (1 + 1e-12)  # `inside` has rounding of this size
        found: Mask = (self._squared <= radii[:, self.candidates]) & kept[:, self.candidates]
        return found

    def gains(self, alone: Mask) -> tuple[Mask, Indices]:
        """Balls grow to the next neighbour when one of their k is left out."""
        own = self._own
        wider = own.squared[:, own.k][self.candidates]
        near: Mask = np.logical_and(~self.inside, self._squared <= wider)
        of, by = np.nonzero(near)
        freed = own.indices[self.candidates[of, by], : own.k]
        sole = self.candidates[np.arange(len(alone)), self.inside.argmax(axis=1)]
        stays = np.zeros_like(alone)
        stays[of[(freed == sole[of][:, None]).any(axis=1)]] = True
        open_ = (self.inside.sum(axis=1) == 0)[of]
        pairs = np.unique(np.stack([np.repeat(of[open_], own.k), freed[open_].ravel()]), axis=1)
        return alone & stays, pairs[1]


def pseudo_values(balls: Balls, n: int) -> Array:
    """(n,): one number a generated image; their mean is the share of reference images that are covered.

    Delete-one jackknife pseudo-values, put back to the mean of the share, and drawn together where the jackknife's
    variance is larger than that of half as many images, which is a bound for that of all.
    """
    m = len(balls.inside)
    alone = balls.inside.sum(axis=1) == 1
    stays, gained = balls.gains(alone)
    lost = alone & ~stays
    sole = balls.candidates[np.arange(m), balls.inside.argmax(axis=1)]
    change = np.bincount(gained, minlength=n) - np.bincount(sole[lost], minlength=n)
    effects = -(n - 1) / m * (change - change.mean())
    spread = float((effects**2).sum()) / (n * (n - 1))
    if spread > 0:
        effects *= min(1.0, np.sqrt(variance_of_half(balls, n) / spread))
    values: Array = balls.inside.any(axis=1).mean() + effects
    return values


def variance_of_half(balls: Balls, n: int) -> float:
    """The variance of the share with half as many generated images, over images drawn anew.

    The two halves of a set share no image, so half the squared difference of their shares is an unbiased estimate; the
    mean over random halves is taken. With all images the variance is smaller.
    """
    rng = np.random.default_rng(0)  # the same images give the same number
    half = np.stack([rng.permutation(n) < n // 2 for _ in range(SPLITS)])
    between = balls.shares_within(half) - balls.shares_within(~half)
    return float((between**2).mean() / 2)
