"""Precision, recall, density and coverage: how far generated and real images overlap in the space of features.

Kynkaanniemi et al. 2019, arXiv 1904.06991 (precision, recall; k = 3); Naeem et al. 2020, arXiv 2002.09797 (density,
coverage; k = 5). What each counts stands in `bench.metrics.neighbours`. The features are those of the suite's
recogniser where it has one, and DINOv2's elsewhere, as in Stein et al. 2023, arXiv 2306.04675.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from bench.judging import FeatureExtractor
from bench.metrics.collecting import score
from bench.metrics.generated import GeneratedFeatures
from bench.metrics.hub.dino import dino
from bench.metrics.interface import Metric, MetricBatch, MetricContext, MetricInfo, Score
from bench.metrics.neighbours import DENSITY_NEIGHBOURS, PRECISION_NEIGHBOURS
from bench.metrics.statistics import Array, Estimate, mean_interval, share_interval

PERCENT = 100.0
Part = Literal["precision", "recall", "density", "coverage"]


class Precision(Metric):
    """The share of generated images that lie in the ball of some real image."""

    info: ClassVar[MetricInfo] = MetricInfo(
        name="precision",
        title="Precision",
        unit="%",
        higher_is_better=True,
        paper="arXiv:1904.06991",
        needs_reference=True,
        min_images=PRECISION_NEIGHBOURS + 2,
        sees_variety=False,
    )
    neighbours: ClassVar[int] = PRECISION_NEIGHBOURS
    part: ClassVar[Part] = "precision"

    def __init__(self, context: MetricContext) -> None:
        self._own = context.judges.recogniser is not None
        extractor = None if self._own else dino(context, self.info.name)
        self._generated = GeneratedFeatures(context, self.info, extractor)

    @property
    def extractors(self) -> tuple[FeatureExtractor, ...]:
        return () if self._own else (self._generated.extractor,)

    def update(self, batch: MetricBatch) -> None:
        self._generated.add(batch, self._generated.of(batch))

    def compute(self) -> Score:
        generated, reference = self._generated.joined(), self._generated.reference
        values: Array = getattr(reference.overlap(generated, self.neighbours), self.part)
        factor = PERCENT if self.info.unit == "%" else 1.0
        return score(
            self.info,
            self._interval(values).scaled(factor),
            # all four depend on the number of images, so shares at different n are not compared
            self._generated.protocol(neighbours=self.neighbours, n=self._generated.n),
            per_image=factor * values,
        )

    def _interval(self, values: Array) -> Estimate:
        """Wilson's where single images are counted; with several images a prompt, Student's t over prompts."""
        if self._generated.several:
            return _share(mean_interval(values, clusters=self._generated.clusters))
        return share_interval(float(values.sum()), len(values))


class Recall(Precision):
    """The share of real images that lie in the ball of some generated image."""

    info: ClassVar[MetricInfo] = replace(Precision.info, name="recall", title="Recall", sees_variety=True)
    part: ClassVar[Part] = "recall"

    def _interval(self, values: Array) -> Estimate:
        """Of pseudo-values. Where all or none is covered these are all equal, and Wilson's interval stands in."""
        found = _share(mean_interval(values, clusters=self._generated.clusters))
        if found.low < found.high:
            return found
        return share_interval(round(found.value * len(values)), len(values))


class Density(Precision):
    """In how many balls of real images a generated image lies, over k."""

    info: ClassVar[MetricInfo] = replace(
        Precision.info,
        name="density",
        title="Density",
        unit="",
        paper="arXiv:2002.09797",
        min_images=DENSITY_NEIGHBOURS + 2,
    )
    neighbours = DENSITY_NEIGHBOURS
    part: ClassVar[Part] = "density"

    def _interval(self, values: Array) -> Estimate:
        return mean_interval(values, clusters=self._generated.clusters).at_least(0.0)


class Coverage(Recall):
    """The share of real images whose ball holds some generated image."""

    info: ClassVar[MetricInfo] = replace(Density.info, name="coverage", title="Coverage", unit="%", sees_variety=True)
    neighbours = DENSITY_NEIGHBOURS
    part: ClassVar[Part] = "coverage"


def _share(found: Estimate) -> Estimate:
    """Within 0 and 1."""
    return Estimate(found.value, max(0.0, found.low), min(1.0, found.high), found.n)
