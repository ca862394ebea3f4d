"""What the distances between sets of features collect alike: the generated features, their prompts, the reference."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.judging import FeatureExtractor
from bench.metrics.collecting import PromptList, Protocol, protocol, require, require_images
from bench.metrics.features import extract
from bench.metrics.interface import MetricBatch, MetricContext, MetricInfo
from bench.metrics.reference import Reference, reference_of
from bench.metrics.statistics import Array


class GeneratedFeatures:
    """Features of the generated images, batch by batch, beside the reference they are compared with.

    Raises:
        UsageError: where the suite has no recogniser or no reference features.
    """

    def __init__(self, context: MetricContext, info: MetricInfo) -> None:
        require(context.judges.recogniser, info, "a recogniser", context.suite)
        require(context.reference, info, "reference features", context.suite)
        assert context.judges.recogniser is not None
        assert context.reference is not None
        self.extractor: FeatureExtractor = context.judges.recogniser
        self.reference: Reference = reference_of(context.reference)
        self._context, self._info = context, info
        self._prompts = PromptList()
        self._features: list[Tensor] = []

    @property
    def n(self) -> int:
        """How many images there are so far."""
        return self._prompts.n

    def of(self, batch: MetricBatch) -> Tensor:
        """The features (N, D) of a batch on the CPU: those that came with it, or computed.

        Raises:
            ValueError: where those that came are not one row an image.
        """
        features = extract(batch.images, self.extractor) if batch.features is None else batch.features.detach().cpu()
        if len(features) != len(batch.images):
            raise ValueError(f"{len(batch.images)} images came with {len(features)} rows of features")
        return features

    def add(self, batch: MetricBatch, features: Tensor) -> None:
        """Take a batch and its features."""
        self._prompts.add(batch.prompts, len(batch.images))
        self._features.append(features)

    def joined(self) -> Array:
        """All features, float64 (n, D).

        Raises:
            ValueError: for fewer images than the metric needs.
        """
        require_images(self.n, self._info)
        joined: Array = torch.cat(self._features).double().numpy()
        return joined

    def protocol(self, **extra: str | int | float) -> Protocol:
        """What two distances must share to be compared, and what the metric adds."""
        return protocol(
            self._context,
            self._prompts,
            extractor=self.extractor.name,
            extractor_weights=self.extractor.weights_hash,
            features=self._features[0].shape[1],
            resize=self.extractor.resize,
            reference=self._context.reference_protocol,
            dtype="float32 features, float64 statistics",
            **extra,
        )
