"""Precision, recall, density and coverage from nearest neighbours, and what each generated image adds to them.

Every image has a ball around it that reaches to its k-th nearest neighbour in its own set. Of the four, each asks
another question:

    precision   the share of generated images that lie in the ball of some reference image
    recall      the share of reference images that lie in the ball of some generated image
    density     in how many balls of reference images a generated image lies, over k; 1 is expected of the same
                distribution, and it can be more
    coverage    the share of reference images whose ball holds some generated image

The reference is fixed, as in all distances here. Precision and density are then means over generated images. Recall and
coverage are not: a generated image counts by what would be lost without it. Their pseudo-values are those of the
delete-one jackknife. Its variance is too large (Efron and Stein 1981), for recall by a factor of about four, since the
balls of neighbours grow and make up for much of a loss; so where the variance of half as many images is smaller, which
random halves show, the pseudo-values are drawn together to that. It is still a bound: these intervals are up to 1.4
times too wide.

Distances are computed in tiles, so no matrix of all pairs is ever held, and from products of rows that are centred
first, in float64.

Sources: Kynkaanniemi et al. 2019, arXiv 1904.06991, section 2, equations 1 and 2 (precision, recall; k = 3); Naeem et
al. 2020, arXiv 2002.09797, section 3, equations 4 and 5 (density, coverage; k = 5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.metrics.balls import Candidates, FixedBalls, Neighbours, OwnBalls, pseudo_values
from bench.metrics.kernel_distance import BLOCK, TILE, spans
from bench.metrics.rows import Features, Rows, as_rows
from bench.metrics.statistics import Array

PRECISION_NEIGHBOURS = 3
"""k of precision and recall in arXiv 1904.06991."""

DENSITY_NEIGHBOURS = 5
"""k of density and coverage in arXiv 2002.09797."""

CANDIDATES = 24
"""How many neighbours are kept of an image, so that k of them are in a random half of the set (k up to 5: but for one
image in a thousand), and how many generated images of those that come closest to covering a reference image."""

ROUNDING = 16 * np.finfo(np.float64).eps
"""Squared distances below this share of both squared lengths are those of equal rows."""


@dataclass(frozen=True)
class Overlap:
    """One number a generated image for each of the four, (N,), whose means are the values."""

    precision: Array
    recall: Array
    density: Array
    coverage: Array


def overlap(features: Features, *, reference: Features, neighbours: int) -> Overlap:
    """All four with the same k, in one pass over all pairs.

    Args:
        features: (N, D) of the generated images.
        reference: (M, D).
        neighbours: k.

    Raises:
        ValueError: for fewer than k + 2 rows on a side.
    """
    rows, target = as_rows(features), as_rows(reference)
    centre = target.mean
    rows, target = rows.centred(centre), target.centred(centre)
    return overlap_of(rows, target, nearest(rows, neighbours), nearest(target, neighbours))


def overlap_of(rows: Rows, target: Rows, own: Neighbours, theirs: Neighbours) -> Overlap:
    """As `overlap`, from what `nearest` gave for each side, so that a reference is searched once for many cells."""
    n, m = len(rows), len(target)
    counts = np.zeros(n)
    closest, tightest = Candidates.none(m, min(CANDIDATES, n)), Candidates.none(m, min(CANDIDATES, n))
    for block in spans(m, BLOCK):
        here = target[block]
        for other in spans(n, TILE):
            squared = squared_distances(here, rows[other])
            counts[other] += (squared <= theirs.radii[block, None]).sum(axis=0)
            closest.merge(block, squared, other.start)
            tightest.merge(block, _in_radii(squared, own.radii[other]), other.start)
    reach = np.broadcast_to(theirs.radii[:, None], closest.values.shape)
    return Overlap(
        precision=(counts > 0).astype(np.float64),
        recall=pseudo_values(OwnBalls(tightest, own), n),
        density=counts / theirs.k,
        coverage=pseudo_values(FixedBalls(closest.indices, closest.values <= reach), n),
    )


def nearest(features: Features, neighbours: int) -> Neighbours:
    """The nearest other rows of each row of (N, D).

    Raises:
        ValueError: for fewer than `neighbours` + 2 rows.
    """
    rows = as_rows(features)
    if neighbours < 1 or len(rows) < neighbours + 2:
        raise ValueError(f"{neighbours} neighbours need at least {neighbours + 2} rows of features, not {len(rows)}")
    found = Candidates.none(len(rows), min(max(CANDIDATES, 5 * neighbours), len(rows) - 1))
    for block in spans(len(rows), BLOCK):
        here = rows[block]
        for other in spans(len(rows), TILE):
            squared = squared_distances(here, rows[other])
            _leave_out_itself(squared, block, other)
            found.merge(block, squared, other.start)
    return Neighbours(neighbours, found.indices, found.values)


def squared_distances(first: Array, second: Array) -> Array:
    """(N, D), (M, D) -> (N, M), never below zero; what is within rounding of zero is zero."""
    sizes = (first * first).sum(axis=1)[:, None] + (second * second).sum(axis=1)
    squared = first @ second.T
    squared *= -2
    squared += sizes
    sizes *= ROUNDING
    squared[squared < sizes] = 0
    return squared


def _in_radii(squared: Array, radii: Array) -> Array:
    """Squared distances over the squared radii of the columns; a ball without a radius holds its centre alone."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = squared / radii
    return np.where(np.isnan(ratio), 0.0, ratio)


def _leave_out_itself(squared: Array, block: slice, other: slice) -> None:
    same = np.arange(max(block.start, other.start), min(block.stop, other.stop))
    squared[same - block.start, same - other.start] = np.inf
