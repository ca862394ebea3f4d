"""Inception score: how sure a classifier is of each image, and how many classes the images are of.

Salimans et al. 2016, arXiv 1606.03498, by torch-fidelity's network (which torchmetrics uses too), without the bias of
its last layer, as in the authors' code. It takes the features that FID by the same network takes, so the images go
through the network once.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from torch import Tensor

from bench.judging import FeatureExtractor
from bench.metrics.collecting import PromptList, protocol, require_images, score
from bench.metrics.features import extract, identity
from bench.metrics.hub.inception import fidelity_inception
from bench.metrics.inception_score import divergences, inception_interval, inception_pseudo_values
from bench.metrics.interface import Metric, MetricBatch, MetricContext, MetricInfo, Score


class InceptionScore(Metric):
    """exp of the mean divergence of class probabilities from their mean, over all images; higher is better."""

    info: ClassVar[MetricInfo] = MetricInfo(
        name="inception-score",
        title="Inception score",
        unit="",
        higher_is_better=True,
        paper="arXiv:1606.03498",
        needs_reference=False,
        min_images=1000,
        weights=("inception-fidelity",),
    )

    def __init__(self, context: MetricContext) -> None:
        self._context = context
        self._network = fidelity_inception(context, self.info.name)
        self._prompts = PromptList()
        self._rows: list[Tensor] = []

    @property
    def extractors(self) -> tuple[FeatureExtractor, ...]:
        return (self._network,)

    def update(self, batch: MetricBatch) -> None:
        self._prompts.add(batch.prompts, len(batch.images))
        known = batch.others.get(identity(self._network))
        features = extract(batch.images, self._network) if known is None else known
        self._rows.append(features.detach().cpu())

    def compute(self) -> Score:
        require_images(self._prompts.n, self.info)
        chances = (self._network.classes(part).numpy() for part in self._rows)  # again for each use: they are wide
        mean = np.sum([part.sum(axis=0) for part in chances], axis=0) / self._prompts.n
        found = np.concatenate([divergences(self._network.classes(part).numpy(), mean) for part in self._rows])
        return score(
            self.info,
            inception_interval(found, clusters=self._prompts.clusters),
            protocol(
                self._context,
                self._prompts,
                extractor=self._network.name,
                extractor_weights=self._network.weights_hash,
                resize=self._network.resize,
                classes=len(mean),
                splits=1,
                # the score is biased downwards by an amount that depends on n
                n=self._prompts.n,
                dtype="float32 features, float64 statistics",
            ),
            per_image=inception_pseudo_values(found),
        )
