"""CMMD: the kernel distance of CLIP's image embeddings.

Jayasumana et al. 2024, arXiv 2401.09603, section 4: the squared maximum mean discrepancy, biased estimator, of
embeddings of length 1 under CLIP ViT-L/14 at 336 pixels, with a Gaussian kernel of sigma 10, times 1000. It needs fewer
images than a Frechet distance and assumes no Gaussian.
"""

from __future__ import annotations

from typing import ClassVar

from bench.judging import FeatureExtractor
from bench.metrics.collecting import score
from bench.metrics.distances import cmmd_pseudo_values
from bench.metrics.generated import GeneratedFeatures
from bench.metrics.hub.clip import clip_tower
from bench.metrics.interface import Metric, MetricBatch, MetricContext, MetricInfo, Score
from bench.metrics.kernel_distance import CMMD_SCALE, CMMD_SIGMA
from bench.metrics.statistics import mean_interval


class Cmmd(Metric):
    """CMMD; lower is better. `per_image` holds pseudo-values whose mean is the distance."""

    info: ClassVar[MetricInfo] = MetricInfo(
        name="cmmd",
        title="CMMD",
        unit="",
        higher_is_better=False,
        paper="arXiv:2401.09603",
        needs_reference=True,
        min_images=50,
        weights=("clip-l-336",),
    )

    def __init__(self, context: MetricContext) -> None:
        tower = clip_tower(context, self.info.weights[0], self.info.name)
        self._generated = GeneratedFeatures(context, self.info, tower)

    @property
    def extractors(self) -> tuple[FeatureExtractor, ...]:
        return (self._generated.extractor,)

    def update(self, batch: MetricBatch) -> None:
        self._generated.add(batch, self._generated.of(batch))

    def compute(self) -> Score:
        generated, reference = self._generated.joined(), self._generated.reference
        pseudo = cmmd_pseudo_values(generated, reference=reference.features)
        return score(
            self.info,
            mean_interval(pseudo, clusters=self._generated.clusters).at_least(0.0),
            self._generated.protocol(
                kernel=f"Gaussian, sigma {CMMD_SIGMA:g}, of rows of length 1, biased, all pairs",
                scale=CMMD_SCALE,
                # the bias of the estimator depends on n
                n=self._generated.n,
            ),
            per_image=pseudo,
        )
