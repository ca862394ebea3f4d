"""Distances to real images under pretrained networks: FID and KID by Inception, FD-DINOv2."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import ClassVar

from bench.judging import FeatureExtractor
from bench.metrics.frechet import FrechetShapes
from bench.metrics.generated import GeneratedFeatures
from bench.metrics.hub.dino import dino
from bench.metrics.hub.inception import clean_inception, fidelity_inception
from bench.metrics.interface import MetricBatch, MetricContext, MetricInfo
from bench.metrics.kernel import KernelShapes

FEWEST = 1000
"""Below this many images a covariance of 2,048 features is mostly noise, and a Frechet distance mostly bias."""


class _Frechet(FrechetShapes):
    """The Frechet distance of a pretrained network's features; the number is that of `FrechetShapes`."""

    def __init__(self, context: MetricContext) -> None:
        self._generated = GeneratedFeatures(context, self.info, self._extractor(context))
        self._loaded = context.loaded

    @abstractmethod
    def _extractor(self, context: MetricContext) -> FeatureExtractor:
        """The network, loaded once a run."""

    @property
    def extractors(self) -> tuple[FeatureExtractor, ...]:
        return (self._generated.extractor,)

    def update(self, batch: MetricBatch) -> None:
        self._generated.add(batch, self._generated.of(batch))


class Fid(_Frechet):
    """FID by clean-fid's resize and Inception."""

    info: ClassVar[MetricInfo] = MetricInfo(
        name="fid",
        title="FID",
        unit="",
        higher_is_better=False,
        paper="arXiv:1706.08500",
        needs_reference=True,
        min_images=FEWEST,
        weights=("inception",),
    )

    def _extractor(self, context: MetricContext) -> FeatureExtractor:
        return clean_inception(context, self.info.name)


class FidTensorflow(_Frechet):
    """FID as before clean-fid: the same Inception, resized within the network as TensorFlow 1 did."""

    info: ClassVar[MetricInfo] = replace(Fid.info, name="fid-tensorflow", title="FID (TensorFlow resize)")

    def _extractor(self, context: MetricContext) -> FeatureExtractor:
        return clean_inception(context, self.info.name, "legacy_tensorflow")


class FidTorchFidelity(_Frechet):
    """FID by torch-fidelity's network and resize, which torchmetrics uses too."""

    info: ClassVar[MetricInfo] = replace(
        Fid.info, name="fid-torch-fidelity", title="FID (torch-fidelity)", weights=("inception-fidelity",)
    )

    def _extractor(self, context: MetricContext) -> FeatureExtractor:
        return fidelity_inception(context, self.info.name)


class FdDinov2(_Frechet):
    """The Frechet distance of DINOv2's class tokens."""

    info: ClassVar[MetricInfo] = replace(
        Fid.info, name="fd-dinov2", title="FD-DINOv2", paper="arXiv:2306.04675", weights=("dinov2",)
    )

    def _extractor(self, context: MetricContext) -> FeatureExtractor:
        return dino(context, self.info.name)


class Kid(KernelShapes):
    """KID by clean-fid's resize and Inception, over all pairs instead of random subsets."""

    info: ClassVar[MetricInfo] = MetricInfo(
        name="kid",
        title="KID",
        unit="1e-3",
        higher_is_better=False,
        paper="arXiv:1801.01401",
        needs_reference=True,
        min_images=50,
        weights=("inception",),
    )

    def __init__(self, context: MetricContext) -> None:
        self._generated = GeneratedFeatures(context, self.info, clean_inception(context, self.info.name))

    @property
    def extractors(self) -> tuple[FeatureExtractor, ...]:
        return (self._generated.extractor,)
