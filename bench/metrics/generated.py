"""What the distances between sets of features collect alike: the generated features, their prompts, the reference."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial

from torch import Tensor

from bench.judging import FeatureExtractor
from bench.metrics.collecting import PromptList, Protocol, protocol, require, require_images
from bench.metrics.features import extract, identity
from bench.metrics.interface import MetricBatch, MetricContext, MetricInfo
from bench.metrics.reference import Reference, reference_of
from bench.metrics.rows import Rows, rows_of


class GeneratedFeatures:
    """Features of the generated images, batch by batch, beside the reference they are compared with.

    Args:
        context: of the run.
        info: of the metric, for what it says when something is missing.
        extractor: the network; the suite's recogniser where None.

    Raises:
        UsageError: where the suite has no recogniser or no reference.
    """

    def __init__(self, context: MetricContext, info: MetricInfo, extractor: FeatureExtractor | None = None) -> None:
        self._given = extractor
        self._reference: Callable[[], Tensor | None]
        if extractor is None:
            require(context.judges.recogniser, info, "a recogniser", context.suite)
            require(context.reference, info, "reference features", context.suite)
            assert context.judges.recogniser is not None
            assert context.reference is not None
            self.extractor: FeatureExtractor = context.judges.recogniser
            self._reference = lambda: context.reference
        else:
            require(context.reference_of, info, "reference images", context.suite)
            assert context.reference_of is not None
            self.extractor = extractor
            self._reference = partial(context.reference_of, extractor)
        self._context, self._info = context, info
        self._prompts = PromptList()
        self._features: list[Tensor] = []

    @cached_property
    def reference(self) -> Reference:
        """The reference; its features are computed when they are first needed."""
        features = self._reference()
        assert features is not None
        return reference_of(features)

    @property
    def n(self) -> int:
        """How many images there are so far."""
        return self._prompts.n

    @property
    def clusters(self) -> list[int]:
        """The number of its prompt for each image."""
        return self._prompts.clusters

    @property
    def several(self) -> bool:
        """Whether a prompt has more than one image."""
        return self._prompts.several

    def of(self, batch: MetricBatch) -> Tensor:
        """The features (N, D) of a batch on the CPU: those that came with it, or computed.

        Raises:
            ValueError: where those that came are not one row an image.
        """
        known = batch.features if self._given is None else batch.others.get(identity(self._given))
        features = extract(batch.images, self.extractor) if known is None else known.detach().cpu()
        if len(features) != len(batch.images):
            raise ValueError(f"{len(batch.images)} images came with {len(features)} rows of features")
        return features

    def add(self, batch: MetricBatch, features: Tensor) -> None:
        """Take a batch and its features."""
        self._prompts.add(batch.prompts, len(batch.images))
        self._features.append(features)

    def joined(self) -> Rows:
        """All features (n, D), copied as they are read.

        Raises:
            ValueError: for fewer images than the metric needs.
        """
        require_images(self.n, self._info)
        return rows_of([part.float().numpy() for part in self._features])

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
