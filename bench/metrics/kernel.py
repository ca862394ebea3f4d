"""KID-shapes: the kernel distance of recogniser features.

Binkowski et al. 2018, arXiv 1801.01401, section 4: the unbiased squared maximum mean discrepancy with the kernel
(x.y / D + 1)^3, with the embedded suite's recogniser in Inception's place. Over all pairs, so no subsets are drawn and
no random state is involved; the spread over random subsets that other packages print is no interval for this value.
"""

from __future__ import annotations

from typing import ClassVar

from bench.metrics.collecting import score
from bench.metrics.distances import kernel_pseudo_values
from bench.metrics.generated import GeneratedFeatures
from bench.metrics.interface import Metric, MetricBatch, MetricContext, MetricInfo, Score
from bench.metrics.statistics import mean_interval

SCALE = 1000.0
"""Values are in units of 1e-3, as kernel distances usually are in tables."""


class KernelShapes(Metric):
    """The kernel distance times 1000 (unit "1e-3"); lower is better, and slightly negative values are ordinary.

    `per_image` holds pseudo-values whose mean is the distance.
    """

    info: ClassVar[MetricInfo] = MetricInfo(
        name="kid-shapes",
        title="KID-shapes",
        unit="1e-3",
        higher_is_better=False,
        paper="arXiv:1801.01401",
        needs_reference=True,
        min_images=3,
    )

    def __init__(self, context: MetricContext) -> None:
        self._generated = GeneratedFeatures(context, self.info)

    def update(self, batch: MetricBatch) -> None:
        self._generated.add(batch, self._generated.of(batch))

    def compute(self) -> Score:
        generated, reference = self._generated.joined(), self._generated.reference
        pseudo = SCALE * kernel_pseudo_values(
            generated, reference=reference.features, reference_self=reference.self_kernel
        )
        return score(
            self.info,
            mean_interval(pseudo, clusters=self._generated.clusters),
            self._generated.protocol(kernel="(x.y / D + 1)^3, unbiased, all pairs"),
            per_image=pseudo,
        )
