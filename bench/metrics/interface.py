"""The one interface between the harness and a metric. A metric never sees a method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from bench.judging import FeatureExtractor, Judges, Prompt
from bench.metrics.weights import JudgeFiles


@dataclass(frozen=True)
class MetricInfo:
    """`quantity` is the name in records and tables; `unit` is "" for a pure number, "%" for a share times 100.

    `sees_prompts` says that a wrong prompt makes the value worse, `weights` which of `bench.metrics.weights.WEIGHTS` it
    needs.
    """

    name: str
    title: str
    unit: str
    higher_is_better: bool
    paper: str
    needs_reference: bool
    min_images: int
    sees_prompts: bool = False
    weights: tuple[str, ...] = ()


@dataclass(frozen=True)
class Score:
    """One measured value with its uncertainty and everything it depends on.

    `protocol` holds what two scores must share to be compared. `per_image` (n,) are numbers in the value's unit whose
    mean is the value, for paired comparisons (pseudo-values where it is a distance between sets); `parts` are
    cross-checks by other libraries and what stands beside the value, never shown as the value. `beside` holds further
    lists of one number an image, by name, that comparisons between methods need.
    """

    quantity: str
    value: float
    ci_low: float
    ci_high: float
    n: int
    unit: str
    higher_is_better: bool
    protocol: Mapping[str, str | int | float]
    per_image: tuple[float, ...] | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    beside: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class MetricContext:
    """What a metric is built from: the judges, the reference features, the baseline's preference scores.

    `reference_of` gives the features of the suite's reference images under any extractor, None where it has no images;
    `files` are the weights of pretrained judges that the run was given, and `loaded` holds what was made of them.
    """

    judges: Judges
    reference: Tensor | None
    reference_protocol: str
    baseline_preference: Tensor | None
    suite: str
    seed: int
    reference_of: Callable[[FeatureExtractor], Tensor] | None = None
    files: JudgeFiles = field(default_factory=JudgeFiles)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    images_per_prompt: int = 1
    loaded: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class MetricBatch:
    """Images in prompt order: uint8 (N, 3, H, W), their prompts, and their recogniser features (N, D) or None.

    `others` holds the features (N, D) of further extractors that metrics of this run asked for, by their identity.
    """

    images: Tensor
    prompts: Sequence[Prompt]
    features: Tensor | None
    others: Mapping[str, Tensor] = field(default_factory=dict)


class Metric(ABC):
    """Fed batches in prompt order, then asked once."""

    info: ClassVar[MetricInfo]

    @abstractmethod
    def __init__(self, context: MetricContext) -> None:
        """Raises UsageError where the context lacks what the metric needs."""

    @property
    def extractors(self) -> tuple[FeatureExtractor, ...]:
        """The networks, beside the suite's recogniser, whose features of each batch this metric reads."""
        return ()

    @abstractmethod
    def update(self, batch: MetricBatch) -> None:
        """Take one batch."""

    @abstractmethod
    def compute(self) -> Score:
        """The score over all batches.

        Raises:
            ValueError: for fewer images than `info.min_images` (the mean of nothing is an error, not a NaN).
        """
