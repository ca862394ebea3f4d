"""The one interface between the harness and a metric. A metric never sees a method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from bench.judging import Judges, Prompt


@dataclass(frozen=True)
class MetricInfo:
    """`quantity` is the name in records and tables; `unit` is "" for a pure number, "%" for a share times 100."""

    name: str
    title: str
    unit: str
    higher_is_better: bool
    paper: str
    needs_reference: bool
    min_images: int


@dataclass(frozen=True)
class Score:
    """One measured value with its uncertainty and everything it depends on.

    `protocol` holds what two scores must share to be compared. `per_image` (n,) are numbers in the value's unit whose
    mean is the value, for paired comparisons (pseudo-values where it is a distance between sets); `parts` are
    cross-checks by other libraries and what stands beside the value, never shown as the value.
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


@dataclass(frozen=True)
class MetricContext:
    """What a metric is built from: the judges, the reference features, the baseline's preference scores."""

    judges: Judges
    reference: Tensor | None
    reference_protocol: str
    baseline_preference: Tensor | None
    suite: str
    seed: int


@dataclass(frozen=True)
class MetricBatch:
    """Images in prompt order: uint8 (N, 3, H, W), their prompts, and their recogniser features (N, D) or None."""

    images: Tensor
    prompts: Sequence[Prompt]
    features: Tensor | None


class Metric(ABC):
    """Fed batches in prompt order, then asked once."""

    info: ClassVar[MetricInfo]

    @abstractmethod
    def __init__(self, context: MetricContext) -> None:
        """Raises UsageError where the context lacks what the metric needs."""

    @abstractmethod
    def update(self, batch: MetricBatch) -> None:
        """Take one batch."""

    @abstractmethod
    def compute(self) -> Score:
        """The score over all batches.

        Raises:
            ValueError: for fewer images than `info.min_images` (the mean of nothing is an error, not a NaN).
        """
