"""What a reference set is reduced to, computed once a process however many cells are measured against it."""

from __future__ import annotations

import hashlib
from functools import cached_property

import numpy as np
from torch import Tensor

from bench.metrics.balls import Neighbours
from bench.metrics.distances import Gaussian, gaussian, mean_self_kernel
from bench.metrics.neighbours import Overlap, nearest, overlap_of
from bench.metrics.rows import Features, Rows, as_rows
from bench.metrics.statistics import Array


class Reference:
    """Reference features, float64 (M, D), with lazily computed statistics."""

    def __init__(self, features: Array) -> None:
        self.features = features
        self._neighbours: dict[int, Neighbours] = {}
        self._overlaps: dict[tuple[str, int], Overlap] = {}

    @cached_property
    def gaussian(self) -> Gaussian:
        """Mean and covariance, for the Frechet distance."""
        return gaussian(self.features)

    @cached_property
    def self_kernel(self) -> float:
        """The mean kernel between two different reference images, for the kernel distance."""
        return mean_self_kernel(self.features)

    @cached_property
    def centre(self) -> Array:
        """(D,): the mean feature, which is taken off both sides before distances are computed."""
        centre: Array = self.features.mean(axis=0)
        return centre

    def neighbours(self, k: int) -> Neighbours:
        """The nearest neighbours of each reference image in the set, once for each k."""
        if k not in self._neighbours:
            self._neighbours[k] = nearest(as_rows(self.features).centred(self.centre), k)
        return self._neighbours[k]

    def overlap(self, features: Features, k: int) -> Overlap:
        """Precision, recall, density and coverage of generated features (N, D), one number an image each.

        Those of the last set of features are kept, since metrics ask for one of the four each.
        """
        rows = as_rows(features).centred(self.centre)
        digest = _digest(rows)
        self._overlaps = {key: found for key, found in self._overlaps.items() if key[0] == digest}
        if (digest, k) not in self._overlaps:
            target = as_rows(self.features).centred(self.centre)
            self._overlaps[digest, k] = overlap_of(rows, target, nearest(rows, k), self.neighbours(k))
        return self._overlaps[digest, k]


def _digest(rows: Rows) -> str:
    digest = hashlib.sha256(repr((len(rows), rows.width)).encode())
    for block in rows.blocks():
        digest.update(np.ascontiguousarray(block).tobytes())
    return digest.hexdigest()


_known: dict[str, Reference] = {}


def reference_of(features: Tensor) -> Reference:
    """The `Reference` of float features (M, D): the same object for the same content."""
    rows = features.detach().cpu().numpy()
    digest = hashlib.sha256(repr((rows.shape, rows.dtype)).encode() + np.ascontiguousarray(rows).tobytes()).hexdigest()
    if digest not in _known:
        _known[digest] = Reference(rows.astype(np.float64))
    return _known[digest]
