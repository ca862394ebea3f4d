"""Precision, recall, density and coverage from nearest neighbours, and what each generated image adds to them.

Every image has a ball around it that reaches to its k-th nearest neighbour in its own set. Of the four, each asks
another question:

    precision   the share of generated images that lie in the ball of some reference image
    recall      the share of reference images that lie in the ball of some generated image
    density     in how many balls of reference images a generated image lies, over k; 1 is expected of the same
                distribution, and it can be more
    coverage    the share of reference images whose ball holds some generated image

The reference is fixed, as in all distances here. Precision and density are then means over generated images. Recall and
coverage are not: a generated image counts by what would be lost without it. For these the pseudo-values are those of
the exact delete-one jackknife, put back to the mean of the statistic; by Efron and Stein 1981 its variance is, if
anything, too large.

Distances are computed in tiles, so no matrix of all pairs is ever held, and from products of rows that are centred
first, in float64.

Sources: Kynkaanniemi et al. 2019, arXiv 1904.06991, section 2, equations 1 and 2 (precision, recall; k = 3); Naeem et
al. 2020, arXiv 2002.09797, section 3, equations 4 and 5 (density, coverage; k = 5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.metrics.kernel_distance import BLOCK, TILE, spans
from bench.metrics.moments import checked_features
from bench.metrics.statistics import Array

Indices = NDArray[np.intp]

PRECISION_NEIGHBOURS = 3
"""k of precision and recall in arXiv 1904.06991."""

DENSITY_NEIGHBOURS = 5
"""k of density and coverage in arXiv 2002.09797."""


@dataclass(frozen=True)
class Neighbours:
    """The k + 1 nearest of each row in its own set, nearest first: `indices` and squared distances, (N, k + 1) each."""

    indices: Indices
    squared: Array

    @property
    def radii(self) -> Array:
        """(N,): the squared distance to the k-th nearest."""
        return self.squared[:, -2]

    @property
    def wider(self) -> Array:
        """(N,): the squared distance to the next one, to which the ball grows when one of the k is taken away."""
        return self.squared[:, -1]


@dataclass(frozen=True)
class Overlap:
    """One number a generated image for each of the four, (N,), whose means are the values."""

    precision: Array
    recall: Array
    density: Array
    coverage: Array


def overlap(features: Array, *, reference: Array, neighbours: int) -> Overlap:
    """All four with the same k, in one pass over all pairs.

    Args:
        features: (N, D) of the generated images.
        reference: (M, D).
        neighbours: k.

    Raises:
        ValueError: for fewer than k + 2 rows on a side.
    """
    rows, target = checked_features(features), checked_features(reference)
    centre = target.mean(axis=0)
    rows, target = rows - centre, target - centre
    return overlap_of(rows, target, nearest(rows, neighbours), nearest(target, neighbours))


def overlap_of(rows: Array, target: Array, own: Neighbours, theirs: Neighbours) -> Overlap:
    """As `overlap`, from what `nearest` gave for each side, so that a reference is searched once for many cells."""
    n, m = len(rows), len(target)
    counts = np.zeros(n)
    recall, coverage = _Share(n), _Share(n)
    for block in spans(m, BLOCK):
        in_recall, in_coverage = recall.block(block), coverage.block(block)
        for other in spans(n, TILE):
            squared = squared_distances(target[block], rows[other])
            inside = squared <= theirs.radii[block, None]
            counts[other] += inside.sum(axis=0)
            in_coverage.take(inside, other)
            inside = squared <= own.radii[other]
            in_recall.take(inside, other)
            in_recall.almost((squared <= own.wider[other]) & ~inside, other)
        recall.close(in_recall, own.indices[:, :-1])
        coverage.close(in_coverage, None)
    return Overlap(
        precision=(counts > 0).astype(np.float64),
        recall=recall.pseudo_values(m),
        density=counts / (theirs.squared.shape[1] - 1),
        coverage=coverage.pseudo_values(m),
    )


def nearest(features: Array, neighbours: int) -> Neighbours:
    """The `neighbours` + 1 nearest other rows of each row of (N, D).

    Raises:
        ValueError: for fewer than `neighbours` + 2 rows.
    """
    rows = checked_features(features)
    wanted = neighbours + 1
    if neighbours < 1 or len(rows) < wanted + 1:
        raise ValueError(f"{neighbours} neighbours need at least {neighbours + 2} rows of features, not {len(rows)}")
    indices = np.empty((len(rows), wanted), dtype=np.intp)
    squared = np.empty((len(rows), wanted))
    for block in spans(len(rows), BLOCK):
        size = block.stop - block.start
        best, where = np.full((size, wanted), np.inf), np.zeros((size, wanted), dtype=np.intp)
        for other in spans(len(rows), TILE):
            found = squared_distances(rows[block], rows[other])
            _leave_out_itself(found, block, other)
            best, where = _merge(best, where, found, other.start)
        squared[block], indices[block] = best, where
    return Neighbours(indices, squared)


def squared_distances(first: Array, second: Array) -> Array:
    """(N, D), (M, D) -> (N, M), never below zero."""
    squared = first @ second.T
    squared *= -2
    squared += (first * first).sum(axis=1)[:, None]
    squared += (second * second).sum(axis=1)
    return np.maximum(squared, 0, out=squared)


def _leave_out_itself(squared: Array, block: slice, other: slice) -> None:
    same = np.arange(max(block.start, other.start), min(block.stop, other.stop))
    squared[same - block.start, same - other.start] = np.inf


def _merge(best: Array, where: Indices, found: Array, start: int) -> tuple[Array, Indices]:
    """The nearest of what was known and what was found in the columns from `start` on, nearest first."""
    wanted = best.shape[1]
    near = np.argpartition(found, min(wanted, found.shape[1]) - 1, axis=1)[:, :wanted]
    values = np.concatenate([best, np.take_along_axis(found, near, axis=1)], axis=1)
    places = np.concatenate([where, near + start], axis=1)
    order = np.argsort(values, axis=1, kind="stable")[:, :wanted]
    return np.take_along_axis(values, order, axis=1), np.take_along_axis(places, order, axis=1)


class _Block:
    """What one block of reference images meets: how many generated images cover each, which one, and near misses."""

    def __init__(self, size: int) -> None:
        self.counts = np.zeros(size, dtype=np.intp)
        self.last = np.zeros(size, dtype=np.intp)
        self.misses: list[tuple[Indices, Indices]] = []

    def take(self, inside: NDArray[np.bool_], other: slice) -> None:
        """Columns that cover the rows; `last` is the one that covers a row where it is the only one."""
        found = inside.sum(axis=1)
        self.last = np.where(found > 0, inside.argmax(axis=1) + other.start, self.last)
        self.counts += found

    def almost(self, near: NDArray[np.bool_], other: slice) -> None:
        """Columns that would cover the rows if their balls grew by one neighbour."""
        near[self.counts > 1] = False  # leaving one image out does not uncover these
        of, by = np.nonzero(near)
        self.misses.append((of, by + other.start))


class _Share:
    """The share of reference images that are covered, and by how much it changes when a generated image is left out."""

    def __init__(self, n: int) -> None:
        self._n, self._covered = n, 0
        self._change = np.zeros(n)

    def block(self, block: slice) -> _Block:
        """An empty tally for a block of reference images."""
        return _Block(block.stop - block.start)

    def close(self, tally: _Block, neighbours: Indices | None) -> None:
        """Count a block that has met all generated images.

        `neighbours` (N, k) says whose balls grow when an image is left out; None where the balls do not depend on it.
        """
        self._covered += int((tally.counts > 0).sum())
        alone = tally.counts == 1
        if neighbours is not None and tally.misses:
            of, by = (np.concatenate(part) for part in zip(*tally.misses, strict=True))
            freed = neighbours[by]  # leaving out any of these lets the ball grow
            rescued = alone[of] & (freed == tally.last[of][:, None]).any(axis=1)
            alone[of[rescued]] = False
            open_ = tally.counts[of] == 0
            pairs = np.unique((of[open_, None] * self._n + freed[open_]).ravel())
            self._change += np.bincount(pairs % self._n, minlength=self._n)
        self._change -= np.bincount(tally.last[alone], minlength=self._n)

    def pseudo_values(self, m: int) -> Array:
        """(N,): the share, less N - 1 times what leaving an image out changes beyond the mean change."""
        values: Array = self._covered / m - (self._n - 1) * (self._change - self._change.mean()) / m
        return values
