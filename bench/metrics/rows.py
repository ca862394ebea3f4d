"""Features (N, D) that are read a block at a time, so that memory does not grow with N.

Features of a cell are files that are mapped into memory (`bench.metrics.features`); only the rows in use are copied, as
float64. What is done to every row (centring, scaling to length 1) is done on the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BLOCK = 4096
"""Rows that are held at once where all are gone through."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Parts (N_i, D) of any float type, one below the other; `rows[slice]` is a float64 copy.

    `centre` (D,) is taken off every row; with `unit` every row has length 1.
    """

    parts: tuple[NDArray[np.floating], ...]
    centre: Array | None = None
    unit: bool = False

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    @property
    def width(self) -> int:
        """D."""
        return int(self.parts[0].shape[1])

    @property
    def mean(self) -> Array:
        """(D,)."""
        total = np.zeros(self.width)
        for block in self.blocks():
            total += block.sum(axis=0)
        return total / len(self)

    def __getitem__(self, wanted: slice) -> Array:
        start, stop, step = wanted.indices(len(self))
        assert step == 1
        first, pieces = 0, []
        for part in self.parts:
            low, high = max(start - first, 0), min(stop - first, len(part))
            if low < high:
                pieces.append(part[low:high])
            first += len(part)
        return self._made(np.concatenate(pieces) if pieces else np.empty((0, self.width)))

    def take(self, places: NDArray[np.intp]) -> Array:
        """The rows at these places, in ascending order of the places."""
        ordered, first, pieces = np.sort(places), 0, []
        for part in self.parts:
            low, high = np.searchsorted(ordered, [first, first + len(part)])
            if low < high:
                pieces.append(part[ordered[low:high] - first])
            first += len(part)
        return self._made(np.concatenate(pieces))

    def blocks(self, size: int | None = None) -> Iterator[Array]:
        """All rows, `BLOCK` at a time unless told otherwise."""
        for start in range(0, len(self), size or BLOCK):
            yield self[start : start + (size or BLOCK)]

    def centred(self, centre: Array) -> Rows:
        """The same, less `centre`."""
        return replace(self, centre=centre)

    def scaled_to_unit(self) -> Rows:
        """The same, each row scaled to Euclidean length 1."""
        return replace(self, unit=True)

    def _made(self, piece: NDArray[np.floating]) -> Array:
        rows = np.array(piece, dtype=np.float64)
        if self.centre is not None:
            rows -= self.centre
        if self.unit:
            lengths = np.linalg.norm(rows, axis=1, keepdims=True)
            if not lengths.all():
                raise ValueError("an embedding of length zero has no direction; the images or the extractor are broken")
            rows /= lengths
        return rows


Features = Array | Rows
"""What distances take: an array, or rows that are read as they are needed."""


def as_rows(features: Features) -> Rows:
    """Rows of (N, D).

    Raises:
        ValueError: as `rows_of`.
    """
    return features if isinstance(features, Rows) else rows_of([np.asarray(features, dtype=np.float64)])


def rows_of(parts: Sequence[NDArray[np.floating]]) -> Rows:
    """Rows of several parts (N_i, D), one below the other.

    Raises:
        ValueError: for another number of axes, parts of different widths, no rows, or numbers that are not finite.
    """
    if not parts or any(part.ndim != 2 for part in parts) or sum(len(part) for part in parts) == 0:
        shape = parts[0].shape if parts else ()
        raise ValueError(f"features must be (N, D) with N of at least 1, not {shape}")
    if len({part.shape[1] for part in parts}) > 1:
        raise ValueError(f"features of width {parts[-1].shape[1]} after width {parts[0].shape[1]}")
    rows = Rows(tuple(parts))
    if not all(np.isfinite(block).all() for block in rows.blocks()):
        raise ValueError("features must be finite; the images or the extractor gave NaN or infinity")
    return rows
