"""How well an image matches its prompt under a pretrained CLIP: CLIP score, PickScore, HPS v2.1.

All three are the cosine between the two embeddings, times a factor. CLIP score: Hessel et al. 2021, arXiv 2104.08718,
here 100 times the cosine as in torchmetrics (the few-step papers print the cosine itself). PickScore: Kirstain et al.
2023, arXiv 2305.01569, times the learned temperature. HPS v2.1: Wu et al. 2023, arXiv 2306.09341, times 100.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch

from bench.judging import FeatureExtractor
from bench.metrics.collecting import PromptList, protocol, require_images, score
from bench.metrics.features import extract, identity
from bench.metrics.hub.clip import clip_tower
from bench.metrics.interface import Metric, MetricBatch, MetricContext, MetricInfo, Score
from bench.metrics.judge_table import WEIGHTS

DTYPE = "float32 embeddings, float64 cosine"


class ClipScore(Metric):
    """100 times the cosine under OpenCLIP ViT-g-14, the CLIP of the paper; 0 where the mean is negative."""

    info: ClassVar[MetricInfo] = MetricInfo(
        name="clip-score",
        title="CLIP score",
        unit="",
        higher_is_better=True,
        paper="arXiv:2104.08718",
        needs_reference=False,
        min_images=2,
        sees_prompts=True,
        weights=("clip-g",),
    )
    convention: ClassVar[str] = "max(100 * mean cosine, 0)"
    floor: ClassVar[float] = 0.0

    def __init__(self, context: MetricContext) -> None:
        self._context = context
        self._tower = clip_tower(context, self.info.weights[0], self.info.name)
        self._prompts = PromptList()
        self._values: list[float] = []
        self._truncated = 0

    @property
    def extractors(self) -> tuple[FeatureExtractor, ...]:
        return (self._tower,)

    def update(self, batch: MetricBatch) -> None:
        self._prompts.add(batch.prompts, len(batch.images))
        known = batch.others.get(identity(self._tower))
        images = extract(batch.images, self._tower) if known is None else known
        texts = [prompt.text for prompt in batch.prompts]
        cosines = torch.cosine_similarity(images.double(), self._tower.texts(texts).double())
        if not bool(cosines.isfinite().all()):
            raise ValueError(f"{self.info.name} gave a score that is not finite")
        self._values.extend((self._factor() * cosines).tolist())
        self._truncated += self._tower.truncated(texts)

    def compute(self) -> Score:
        require_images(self._prompts.n, self.info)
        return score(
            self.info,
            self._prompts.mean_interval(self._values).at_least(self.floor),
            protocol(
                self._context,
                self._prompts,
                judge=self._tower.name,
                judge_weights=self._tower.weights_hash,
                tag=WEIGHTS[self.info.weights[0]].title,
                resize=self._tower.resize,
                dtype=DTYPE,
                scale=self._factor(),
                convention=self.convention,
                tokens=f"at most {self._tower.longest}, cut before the end token",
                truncated_prompts=self._truncated,
            ),
            per_image=self._values,
        )

    def _factor(self) -> float:
        return 100.0


class PickScore(ClipScore):
    """The learned temperature times the cosine; about 20 for ordinary images."""

    info: ClassVar[MetricInfo] = replace(
        ClipScore.info, name="pickscore", title="PickScore", paper="arXiv:2305.01569", weights=("pickscore",)
    )
    convention: ClassVar[str] = "exp(logit_scale) * cosine"
    floor: ClassVar[float] = -float("inf")

    def _factor(self) -> float:
        return self._tower.scale


class HpsV21(ClipScore):
    """100 times the cosine."""

    info: ClassVar[MetricInfo] = replace(
        ClipScore.info, name="hpsv2", title="HPS v2.1", paper="arXiv:2306.09341", weights=("hpsv2",)
    )
    convention: ClassVar[str] = "100 * cosine"
    floor: ClassVar[float] = -float("inf")
