"""KID-shapes: the kernel distance of recogniser features.

Binkowski et al. 2018, arXiv 1801.01401, section 4: the unbiased squared maximum mean discrepancy with the kernel
(x.y / D + 1)^3, with the embedded suite's recogniser in Inception's place. Over all pairs, so no subsets are drawn and
no random state is involved; the spread over random subsets that other packages print is no interval for this value.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from bench.judging import FeatureExtractor
from bench.metrics.collecting import PromptList, protocol, require, require_images, score
from bench.metrics.distances import kernel_pseudo_values
from bench.metrics.features import extract
from bench.metrics.interface import Metric, MetricBatch, MetricContext, MetricInfo, Score
from bench.metrics.reference import reference_of
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
        require(context.judges.recogniser, self.info, "a recogniser", context.suite)
        require(context.reference, self.info, "reference features", context.suite)
        assert context.judges.recogniser is not None
        assert context.reference is not None
        self._context = context
        self._extractor: FeatureExtractor = context.judges.recogniser
        self._reference = reference_of(context.reference)
        self._prompts = PromptList()
        self._features: list[Tensor] = []

    def update(self, batch: MetricBatch) -> None:
        features = extract(batch.images, self._extractor) if batch.features is None else batch.features.detach().cpu()
        if len(features) != len(batch.images):
            raise ValueError(f"{len(batch.images)} images came with {len(features)} rows of features")
        self._prompts.add(batch.prompts, len(batch.images))
        self._features.append(features)

    def compute(self) -> Score:
        require_images(self._prompts.n, self.info)
        generated = torch.cat(self._features).double().numpy()
        pseudo = SCALE * kernel_pseudo_values(
            generated, reference=self._reference.features, reference_self=self._reference.self_kernel
        )
        return score(
            self.info,
            mean_interval(pseudo),
            protocol(
                self._context,
                self._prompts,
                extractor=self._extractor.name,
                extractor_weights=self._extractor.weights_hash,
                features=generated.shape[1],
                resize=self._extractor.resize,
                reference=self._context.reference_protocol,
                kernel="(x.y / D + 1)^3, unbiased, all pairs",
                dtype="float32 features, float64 statistics",
            ),
            per_image=pseudo,
        )
