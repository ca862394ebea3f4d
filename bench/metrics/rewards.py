"""Scores by a learned head: ImageReward (image and prompt), LAION's aesthetic score (image alone)."""

from __future__ import annotations

from typing import ClassVar

import torch

from bench.judging import FeatureExtractor
from bench.metrics.collecting import PromptList, protocol, require_images, score
from bench.metrics.features import extract, identity
from bench.metrics.hub.clip import clip_tower
from bench.metrics.hub.heads import ScoreHead
from bench.metrics.hub.image_reward import image_reward
from bench.metrics.hub.load import fill, once, tensors
from bench.metrics.interface import Metric, MetricBatch, MetricContext, MetricInfo, Score


class ImageReward(Metric):
    """The reward, of mean 0 and deviation 1 over its training set."""

    info: ClassVar[MetricInfo] = MetricInfo(
        name="image-reward",
        title="ImageReward",
        unit="",
        higher_is_better=True,
        paper="arXiv:2304.05977",
        needs_reference=False,
        min_images=2,
        sees_prompts=True,
        weights=("image-reward",),
    )

    def __init__(self, context: MetricContext) -> None:
        self._context = context
        self._judge = image_reward(context, self.info.name)
        self._prompts = PromptList()
        self._values: list[float] = []
        self._truncated = 0

    def update(self, batch: MetricBatch) -> None:
        self._prompts.add(batch.prompts, len(batch.images))
        self._values.extend(_finite(self._judge(batch.images, batch.prompts), self.info))
        self._truncated += self._judge.truncated([prompt.text for prompt in batch.prompts])

    def compute(self) -> Score:
        require_images(self._prompts.n, self.info)
        return score(
            self.info,
            self._prompts.mean_interval(self._values),
            protocol(
                self._context,
                self._prompts,
                judge=self._judge.name,
                judge_weights=self._judge.weights_hash,
                resize=self._judge.resize,
                dtype="float32",
                truncated_prompts=self._truncated,
            ),
            per_image=self._values,
        )


class Aesthetic(Metric):
    """Predicted rating of an image's look, 1 to 10, whatever the prompt."""

    info: ClassVar[MetricInfo] = MetricInfo(
        name="aesthetic",
        title="Aesthetic score",
        unit="",
        higher_is_better=True,
        paper="arXiv:2210.08402",
        needs_reference=False,
        min_images=2,
        weights=("clip-l", "aesthetic"),
    )

    def __init__(self, context: MetricContext) -> None:
        self._context = context
        self._tower = clip_tower(context, "clip-l", self.info.name)
        self._head_hash = context.files.hash("aesthetic", self.info.name)
        self._head = once(context, "aesthetic", lambda: _head(context, self.info.name))
        self._prompts = PromptList()
        self._values: list[float] = []

    @property
    def extractors(self) -> tuple[FeatureExtractor, ...]:
        return (self._tower,)

    def update(self, batch: MetricBatch) -> None:
        self._prompts.add(batch.prompts, len(batch.images))
        known = batch.others.get(identity(self._tower))
        images = extract(batch.images, self._tower) if known is None else known
        with torch.inference_mode():
            unit = torch.nn.functional.normalize(images, dim=-1)
            self._values.extend(_finite(self._head(unit), self.info))

    def compute(self) -> Score:
        require_images(self._prompts.n, self.info)
        return score(
            self.info,
            self._prompts.mean_interval(self._values),
            protocol(
                self._context,
                self._prompts,
                judge=f"{self._tower.name} and a linear head",
                judge_weights=self._tower.weights_hash,
                head_weights=self._head_hash,
                resize=self._tower.resize,
                dtype="float32",
            ),
            per_image=self._values,
        )


def _head(context: MetricContext, metric: str) -> ScoreHead:
    path = context.files.path("aesthetic", metric)
    state = tensors(path, "aesthetic")
    first = state.get("layers.0.weight")
    head = ScoreHead(768 if first is None else first.shape[1])
    fill(head, state, path, torch.device("cpu"))
    return head


def _finite(values: torch.Tensor, info: MetricInfo) -> list[float]:
    if not bool(values.isfinite().all()):
        raise ValueError(f"{info.name} gave a score that is not finite")
    return [float(value) for value in values]
