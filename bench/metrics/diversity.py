"""How different the images of one prompt are: the mean distance of an image to the others of its prompt.

Distilled models lose diversity before they lose quality; a distance to reference images sees that only over all
prompts. The value is the mean over pairs, and each image carries its own mean distance, so intervals go over prompts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from bench.errors import UsageError
from bench.judging import FeatureExtractor
from bench.metrics.collecting import PromptList, protocol, require_images, score
from bench.metrics.features import extract, identity
from bench.metrics.hub.dino import dino
from bench.metrics.hub.lpips import lpips
from bench.metrics.interface import Metric, MetricBatch, MetricContext, MetricInfo, Score
from bench.metrics.statistics import Array


class FeatureDiversity(Metric):
    """1 - cosine between features, of the suite's recogniser where it has one, of DINOv2 elsewhere; 0 to 2."""

    info: ClassVar[MetricInfo] = MetricInfo(
        name="diversity",
        title="Diversity within a prompt",
        unit="",
        higher_is_better=True,
        paper="",
        needs_reference=False,
        min_images=4,
    )

    def __init__(self, context: MetricContext) -> None:
        _require_several(context, self.info)
        self._context = context
        self._own = context.judges.recogniser
        self._extractor: FeatureExtractor = self._own or dino(context, self.info.name)
        self._prompts = PromptList()
        self._rows: list[Tensor] = []

    @property
    def extractors(self) -> tuple[FeatureExtractor, ...]:
        return () if self._own is not None else (self._extractor,)

    def update(self, batch: MetricBatch) -> None:
        self._prompts.add(batch.prompts, len(batch.images))
        known = batch.features if self._own is not None else batch.others.get(identity(self._extractor))
        self._rows.append(extract(batch.images, self._extractor) if known is None else known.detach().cpu())

    def compute(self) -> Score:
        require_images(self._prompts.n, self.info)
        values = to_others(torch.cat(self._rows), self._prompts.clusters)
        return score(
            self.info,
            self._prompts.mean_interval(values),
            protocol(
                self._context,
                self._prompts,
                extractor=self._extractor.name,
                extractor_weights=self._extractor.weights_hash,
                resize=self._extractor.resize,
                distance="1 - cosine",
            ),
            per_image=values,
        )


class LpipsDiversity(Metric):
    """LPIPS between the images of a prompt."""

    info: ClassVar[MetricInfo] = replace(
        FeatureDiversity.info,
        name="lpips",
        title="LPIPS within a prompt",
        paper="arXiv:1801.03924",
        weights=("alexnet",),
    )

    def __init__(self, context: MetricContext) -> None:
        _require_several(context, self.info)
        self._context = context
        self._network = lpips(context, self.info.name)
        self._prompts = PromptList()
        self._values: list[float] = []

    def update(self, batch: MetricBatch) -> None:
        """Take whole prompts: the images of one prompt come in one batch."""
        start = self._prompts.n
        self._prompts.add(batch.prompts, len(batch.images))
        clusters = np.asarray(self._prompts.clusters[start:])
        for cluster in dict.fromkeys(clusters.tolist()):
            (rows,) = np.nonzero(clusters == cluster)
            distances = self._network(batch.images[torch.from_numpy(rows)])
            self._values.extend((distances.sum(dim=1) / max(1, len(rows) - 1)).tolist())

    def compute(self) -> Score:
        require_images(self._prompts.n, self.info)
        return score(
            self.info,
            self._prompts.mean_interval(self._values),
            protocol(
                self._context,
                self._prompts,
                judge=self._network.name,
                judge_weights=self._network.weights_hash,
                resize=self._network.resize,
            ),
            per_image=self._values,
        )


def to_others(features: Tensor, clusters: list[int]) -> Array:
    """1 - cosine of each row to the others of its cluster, averaged: (N, D), N cluster numbers -> float64 (N,).

    Raises:
        ValueError: for a cluster of one.
    """
    unit = torch.nn.functional.normalize(features.double(), dim=1)
    numbers = torch.tensor(clusters)
    values = torch.zeros(len(unit), dtype=torch.float64)
    for cluster in dict.fromkeys(clusters):
        (rows,) = torch.nonzero(numbers == cluster, as_tuple=True)
        if len(rows) < 2:
            raise ValueError("diversity needs at least 2 images of each prompt")
        distances = 1 - unit[rows] @ unit[rows].T
        values[rows] = (distances.sum(dim=1) - distances.diagonal()) / (len(rows) - 1)
    found: Array = values.numpy()
    return found


def _require_several(context: MetricContext, info: MetricInfo) -> None:
    if context.images_per_prompt < 2:
        raise UsageError(f"{info.name} compares the images of a prompt; run with --images-per-prompt 2 or more")
