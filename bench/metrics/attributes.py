"""Attributes: the share of images that show every object and attribute their caption names, bound together."""

from __future__ import annotations

from typing import ClassVar

from bench.judging import PromptScorer
from bench.metrics.collecting import PromptList, protocol, require, require_images, score
from bench.metrics.interface import Metric, MetricBatch, MetricContext, MetricInfo, Score
from bench.metrics.statistics import share_interval


class Attributes(Metric):
    """The share of exact images in percent, with Wilson's interval; `per_image` is 100 or 0."""

    info: ClassVar[MetricInfo] = MetricInfo(
        name="attributes",
        title="Attributes",
        unit="%",
        higher_is_better=True,
        paper="arXiv:2310.11513",
        needs_reference=False,
        min_images=2,
        sees_prompts=True,
    )

    def __init__(self, context: MetricContext) -> None:
        require(context.judges.attributes, self.info, "an attribute judge", context.suite)
        assert context.judges.attributes is not None
        self._context = context
        self._judge: PromptScorer = context.judges.attributes
        self._prompts = PromptList()
        self._exact: list[float] = []

    def update(self, batch: MetricBatch) -> None:
        self._prompts.add(batch.prompts, len(batch.images))
        verdicts = [float(value) for value in self._judge(batch.images, batch.prompts)]
        if len(verdicts) != len(batch.images) or not set(verdicts) <= {0.0, 1.0}:
            raise ValueError(f"{self._judge.name} must give one 0 or 1 an image")
        self._exact.extend(verdicts)

    def compute(self) -> Score:
        require_images(self._prompts.n, self.info)
        share = share_interval(sum(self._exact), self._prompts.n)
        if self._prompts.several:
            share = self._prompts.mean_interval(self._exact)
        return score(
            self.info,
            share.scaled(100.0),
            protocol(
                self._context,
                self._prompts,
                judge=self._judge.name,
                judge_weights=self._judge.weights_hash,
                rule="every named object and attribute, bound together",
            ),
            per_image=(100.0 * value for value in self._exact),
        )
