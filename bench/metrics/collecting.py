"""What every metric here does alike: count prompts, hold one number an image, and say what the number depends on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from bench.errors import UsageError
from bench.judging import Prompt
from bench.metrics.interface import MetricContext, MetricInfo, Score
from bench.metrics.statistics import Estimate, mean_interval

Protocol = dict[str, str | int | float]

CODEC = "png"
"""Images are stored losslessly, so a score of stored images is that of the images themselves."""


class PromptList:
    """The prompts seen so far, as a count and a digest: part of the protocol of every score."""

    def __init__(self) -> None:
        self.n = 0
        self.clusters: list[int] = []
        self._numbers: dict[str, int] = {}
        self._digest = hashlib.sha256()

    def add(self, prompts: Sequence[Prompt], images: int) -> None:
        """Take the prompts of one batch of `images` images.

        Raises:
            ValueError: where there is not one prompt an image.
        """
        if len(prompts) != images:
            raise ValueError(f"{images} images came with {len(prompts)} prompts")
        for prompt in prompts:
            self._digest.update(f"{prompt.id}\0{prompt.text}\0".encode())
            self.clusters.append(self._numbers.setdefault(prompt.id, len(self._numbers)))
        self.n += images

    @property
    def several(self) -> bool:
        """Whether a prompt has more than one image."""
        return len(self._numbers) < self.n

    def mean_interval(self, values: ArrayLike) -> Estimate:
        """The mean of one number an image, with Student's t interval over prompts.

        Images of one prompt are not independent, so with several an interval over images would be too narrow.
        """
        if not self.several:
            return mean_interval(values)
        data, clusters = np.asarray(values, dtype=np.float64), np.asarray(self.clusters)
        means = np.bincount(clusters, weights=data) / np.bincount(clusters)
        estimate = mean_interval(means)
        return Estimate(estimate.value, estimate.low, estimate.high, data.size)

    @property
    def digest(self) -> str:
        """12 hexadecimal digits."""
        return self._digest.hexdigest()[:12]


def protocol(context: MetricContext, prompts: PromptList, **extra: str | int | float) -> Protocol:
    """What two scores must share to be compared: suite, prompt list, codec, and what the metric adds."""
    shared: Protocol = {"suite": context.suite, "prompts": prompts.digest, "codec": CODEC}
    if context.images_per_prompt > 1:
        shared["images_per_prompt"] = context.images_per_prompt
    return {**shared, **extra}


def require(judge: object | None, info: MetricInfo, what: str, suite: str) -> None:
    """Refuse a metric whose judge or data the suite lacks.

    Raises:
        UsageError: naming the metric, the suite and the fix.
    """
    if judge is None:
        raise UsageError(
            f"{info.name} needs {what}, which suite {suite!r} does not have; "
            "choose another suite or another metric (`bench list` shows both)"
        )


def require_images(n: int, info: MetricInfo) -> None:
    """The mean of nothing is an error.

    Raises:
        ValueError: for fewer images than `info.min_images`.
    """
    if n < info.min_images:
        raise ValueError(f"{info.name} needs at least {info.min_images} images, not {n}")


def score(
    info: MetricInfo,
    estimate: Estimate,
    protocol: Protocol,
    per_image: Iterable[float],
    parts: dict[str, float] | None = None,
    beside: Mapping[str, Iterable[float]] | None = None,
) -> Score:
    """A `Score` from an estimate that is already in the metric's unit.

    `per_image` and `beside` are rounded to 6 significant digits, which is what a record needs them for: paired
    differences and votes.
    """
    return Score(
        quantity=info.name,
        value=float(estimate.value),
        ci_low=float(estimate.low),
        ci_high=float(estimate.high),
        n=estimate.n,
        unit=info.unit,
        higher_is_better=info.higher_is_better,
        protocol=protocol,
        per_image=_rounded(per_image),
        parts=parts or {},
        beside={name: _rounded(values) for name, values in (beside or {}).items()},
    )


def _rounded(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(float(f"{value:.6g}") for value in values)
