"""The protocol panel: one set of stored images, its Frechet distance under the protocols that papers used.

A distance depends on how it was taken at least as much as on who made the images: the codec, the resize before the
network, the number of images, the draw of the reference. The panel changes one of them at a time and prints the spread
beside the gap between two methods that is claimed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from bench import registry
from bench.errors import UsageError
from bench.health import compressed
from bench.images import ImageStore
from bench.judging import FeatureExtractor, Prompt
from bench.metrics.distances import frechet_distance, gaussian
from bench.metrics.features import extract
from bench.metrics.hub.inception import MODES, clean_inception
from bench.metrics.interface import MetricContext
from bench.metrics.statistics import Array
from bench.metrics.weights import JudgeFiles
from bench.numerics import fixed_numerics
from bench.reference_set import ReferenceSet
from bench.suites.interface import Suite

QUALITIES = (95, 75)
"""Of JPEG, as image folders are often written."""

COUNTS = (1000, 2000, 5000, 10_000)
"""Numbers of images in use."""

DRAWS = 3
"""Bootstrap draws of the reference."""

_CHUNK = 256


@dataclass(frozen=True)
class Row:
    """The distance under one protocol; `changed` says what is not as in the first row."""

    changed: str
    codec: str
    resize: str
    n: int
    reference: str
    value: float


@dataclass(frozen=True)
class Panel:
    """All rows, the usual protocol first, and the number of images that there are."""

    rows: tuple[Row, ...]
    images: int

    @property
    def spread(self) -> float:
        """Largest minus smallest value."""
        values = [row.value for row in self.rows]
        return max(values) - min(values)

    @property
    def spread_at_n(self) -> float:
        """The same over the rows that use all images."""
        values = [row.value for row in self.rows if row.n == self.images]
        return max(values) - min(values)


Extractors = Sequence[FeatureExtractor]
Blocks = Callable[[], Iterator[Tensor]]


def panel(
    images: Blocks, extractors: Extractors, reference: Callable[[FeatureExtractor], Tensor], seed: int = 0
) -> Panel:
    """The panel of one set of images.

    Args:
        images: gives uint8 blocks (N, 3, H, W), the same each time it is called.
        extractors: one a resize; the first is the usual one.
        reference: features (M, D) of the reference images under an extractor.
        seed: of the bootstrap draws.

    Raises:
        UsageError: for fewer than 2 images.
    """
    usual = extractors[0]
    plain = _features(images, usual)
    n = len(plain)
    if n < 2:
        raise UsageError(f"a panel needs at least 2 images, not {n}")
    real = _array(reference(usual))
    rows = [Row("", "png", usual.resize, n, f"{len(real)}", _distance(plain, real))]
    for quality in QUALITIES:
        damaged = _features(partial(_compressed, images, quality), usual)
        rows.append(Row("codec", f"jpeg {quality}", usual.resize, n, f"{len(real)}", _distance(damaged, real)))
    for other in extractors[1:]:
        theirs = _array(reference(other))
        rows.append(Row("resize", "png", other.resize, n, f"{len(real)}", _distance(_features(images, other), theirs)))
    rows += [
        Row("n", "png", usual.resize, count, f"{len(real)}", _distance(plain[:count], real))
        for count in COUNTS
        if count < n
    ]
    rng = np.random.default_rng(seed)
    for draw in range(1, DRAWS + 1):
        drawn = real[rng.integers(len(real), size=len(real))]
        rows.append(Row("reference", "png", usual.resize, n, f"bootstrap {draw}", _distance(plain, drawn)))
    return Panel(tuple(rows), n)


def panel_of_folder(
    folder: Path,
    suite: tuple[str, Path | None],
    weights: dict[str, Path | None],
    device: str,
    cache: Path | None = None,
) -> Panel:
    """The panel of the PNG images in `folder` against a suite's reference.

    clean-fid's Inception is the network where the run was given it, the suite's recogniser elsewhere, which has no
    resize to change.

    Raises:
        UsageError: where there are no images, no reference, or no network.
    """
    prompts = [Prompt(path.stem, "", "all") for path in sorted(folder.glob("*.png"))]
    if not prompts:
        raise UsageError(f"{folder} has no .png images; name the folder of a cell, as in runs/shapes/images/CELL")
    store = ImageStore(folder)
    made = cast(Suite, registry.make_suite(*suite))
    real = ReferenceSet(made, cache)
    if not real.available:
        raise UsageError(f"suite {made.info.name!r} has no reference images; use shapes, or --coco FOLDER")

    def blocks() -> Iterator[Tensor]:
        for start in range(0, len(prompts), _CHUNK):
            yield store.read(prompts[start : start + _CHUNK])

    with torch.no_grad(), fixed_numerics(device):
        extractors = _extractors(made, weights, torch.device(device))
        return panel(blocks, extractors, real.features)


def _extractors(suite: Suite, weights: dict[str, Path | None], device: torch.device) -> Extractors:
    judges = suite.judges(device)
    if judges.recogniser is not None and "inception" not in weights:
        return [judges.recogniser]
    context = MetricContext(judges, None, "", None, suite.info.name, 0, files=JudgeFiles(weights), device=device)
    return [clean_inception(context, "panel", mode) for mode in MODES]


def _features(images: Blocks, extractor: FeatureExtractor) -> Array:
    return _array(torch.cat([extract(block, extractor) for block in images()]))


def _compressed(images: Blocks, quality: int) -> Iterator[Tensor]:
    for block in images():
        yield compressed(block, quality)


def _array(features: Tensor) -> Array:
    found: Array = features.double().numpy()
    return found


def _distance(generated: Array, reference: Array) -> float:
    return frechet_distance(generated=gaussian(generated), reference=gaussian(reference))
