"""FD-shapes: the Frechet distance of recogniser features, by this package, clean-fid, torchmetrics and torch-fidelity.

Heusel et al. 2017, arXiv 1706.08500, equation 6, with the embedded suite's recogniser in Inception's place. It is never
called FID, because it is not one. What its interval covers stands in `bench.metrics.distances`.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import torch
from cleanfid import fid as cleanfid
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from bench.errors import FewstepError
from bench.judging import FeatureExtractor
from bench.metrics.collecting import score
from bench.metrics.distances import Gaussian, frechet_infinity, frechet_interval, frechet_pseudo_values, gaussian
from bench.metrics.generated import GeneratedFeatures
from bench.metrics.interface import Metric, MetricBatch, MetricContext, MetricInfo, Score
from bench.metrics.reference import Reference
from bench.metrics.rows import Features, Rows, as_rows
from bench.metrics.statistics import Array

CHECKED_IMAGES = 32
"""How many images of a cell go through clean-fid's own reading and the extractor again, to check the features given."""

FEATURE_TOLERANCE = 1e-2
"""Largest difference between two extractions, as a share of the largest feature. Batches of another size move a feature
by rounding, 1e-6 in float32 and 1e-3 with TF32; another image or another extractor moves it by its own size."""


MOST_CHECKED = 512
"""Features up to which the other packages, which take a minute or two at 2,048, check every cell of a run."""


class FrechetShapes(Metric):
    """The Frechet distance between the features of generated and of reference images; lower is better.

    `per_image` holds pseudo-values whose mean is the distance. `parts` holds FD-infinity, and the distance according to
    clean-fid, torchmetrics and torch-fidelity, where each can (clean-fid refuses some singular covariances) and has not
    done so before in this run where features are many.
    """

    info: ClassVar[MetricInfo] = MetricInfo(
        name="fd-shapes",
        title="FD-shapes",
        unit="",
        higher_is_better=False,
        paper="arXiv:1706.08500",
        needs_reference=True,
        min_images=2,
    )

    def __init__(self, context: MetricContext) -> None:
        self._generated = GeneratedFeatures(context, self.info)
        self._loaded = context.loaded

    def update(self, batch: MetricBatch) -> None:
        features = self._generated.of(batch)
        unchecked = max(0, CHECKED_IMAGES - self._generated.n)
        _check_features(batch.images[:unchecked], features, self._generated.extractor)
        self._generated.add(batch, features)

    def compute(self) -> Score:
        generated, reference = self._generated.joined(), self._generated.reference
        pseudo = frechet_pseudo_values(generated, reference=reference.gaussian)
        return score(
            self.info,
            frechet_interval(pseudo, clusters=self._generated.clusters),
            # the bias depends on n, so distances of different n are not compared
            self._generated.protocol(n=self._generated.n),
            per_image=pseudo,
            parts={**self._cross_checks(generated, reference), **_infinity(generated, reference)},
        )

    def _cross_checks(self, generated: Rows, reference: Reference) -> dict[str, float]:
        """By the other packages: of every cell where features are few, else of a run's first, as it takes minutes."""
        key = f"cross-checks of {self.info.name}"
        if generated.width > MOST_CHECKED and key in self._loaded:
            return {}
        self._loaded[key] = True
        return cross_checks(generated, reference)


def _infinity(generated: Rows, reference: Reference) -> dict[str, float]:
    """FD-infinity, where there are images enough to take halves."""
    if len(generated) < 4:
        return {}
    rng = np.random.default_rng(0)  # the same images give the same number
    return {"fd-infinity": frechet_infinity(generated, reference=reference.gaussian, rng=rng)}


def cross_checks(generated: Rows, reference: Reference) -> dict[str, float]:
    """The same distance by clean-fid, torchmetrics and torch-fidelity, where each can: {"clean-fid": ..., ...}."""
    values: dict[str, float] = {}
    with contextlib.suppress(ValueError, np.linalg.LinAlgError):
        values["clean-fid"] = clean_fid_distance(generated=gaussian(generated), reference=reference.gaussian)
    with contextlib.suppress(RuntimeError):
        values["torchmetrics"] = torchmetrics_distance(generated=generated, reference=reference.features)
    with contextlib.suppress(ImportError, np.linalg.LinAlgError):  # it is optional: fewstep-bench[parity]
        values["torch-fidelity"] = torch_fidelity_distance(generated=gaussian(generated), reference=reference.gaussian)
    return {name: value for name, value in values.items() if np.isfinite(value)}


def clean_fid_distance(*, generated: Gaussian, reference: Gaussian) -> float:
    """clean-fid's Frechet distance of two Gaussians. What it prints goes to stderr, what it warns of is left out.

    Raises:
        ValueError: where its matrix square root turns complex.
    """
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the argument of sqrtm that SciPy 1.18 removes, and of singular covariances
        value = cleanfid.frechet_distance(generated.mean, generated.covariance, reference.mean, reference.covariance)
    return float(value)


def torchmetrics_distance(*, generated: Features, reference: Features) -> float:
    """The Frechet distance of two feature sets (N, D) and (M, D) by torchmetrics, its network passing them on."""
    metric = FrechetInceptionDistance(feature=PassThrough(as_rows(generated).width))
    for features, real in ((reference, True), (generated, False)):
        for block in as_rows(features).blocks():
            metric.update(torch.from_numpy(block), real=real)
    return float(metric.compute())


def torch_fidelity_distance(*, generated: Gaussian, reference: Gaussian) -> float:
    """torch-fidelity's Frechet distance of two Gaussians.

    Raises:
        ImportError: where it is not installed.
    """
    from torch_fidelity.metric_fid import fid_statistics_to_metric

    sides = [{"mu": side.mean, "sigma": side.covariance} for side in (generated, reference)]
    return float(fid_statistics_to_metric(*sides, False)["frechet_inception_distance"])


class PassThrough(nn.Module):
    """A feature network for torchmetrics whose input is features already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        """(N, D) -> the same (N, D)."""
        return features


def clean_fid_features(images: Tensor, extractor: FeatureExtractor, batch_size: int = 64) -> Array:
    """Features (N, D) of uint8 images (N, 3, H, W) by clean-fid with a custom extractor.

    clean-fid resizes to 299 x 299 even for a custom extractor, and looks for a GPU, unless told otherwise as here. It
    also draws latents from torch's global generator for its `G`; that generator is put back.
    """
    batches = _full_batches(images, batch_size)
    with torch.random.fork_rng(devices=[]):
        features: Array = cleanfid.get_model_features(
            lambda _latents: next(batches),
            extractor,
            z_dim=1,
            num_gen=len(images),
            batch_size=batch_size,
            device=torch.device("cpu"),
            custom_fn_resize=lambda image: image,
            verbose=False,
        )
    return features


def _full_batches(images: Tensor, batch_size: int) -> Iterator[Tensor]:
    """Batches of exactly `batch_size`, as clean-fid reads them; the last is filled up with its last image."""
    for block in torch.split(images, batch_size):
        filler = block[-1:].expand(batch_size - len(block), -1, -1, -1)
        yield torch.cat([block, filler])


def _check_features(images: Tensor, features: Tensor, extractor: FeatureExtractor) -> None:
    """Compare the features given for the first images with what clean-fid gets from the images themselves.

    Raises:
        FewstepError: where they are not the features of these images.
    """
    if len(images) == 0:
        return
    fresh = clean_fid_features(images, extractor, batch_size=len(images))
    given = features[: len(images)].numpy()
    if given.shape != fresh.shape or not np.abs(given - fresh).max() <= FEATURE_TOLERANCE * np.abs(fresh).max():
        raise FewstepError(
            f"the features given to fd-shapes are not those of its images under {extractor.name}; "
            "delete the feature cache and run again"
        )
