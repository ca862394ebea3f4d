"""Preference: how often an image is preferred to the baseline's image of the same prompt and seed.

The use of a learned preference model as a judge of pairs follows Kirstain et al. 2023, arXiv 2305.01569.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from bench.errors import UsageError
from bench.judging import PromptScorer
from bench.metrics.collecting import PromptList, protocol, require, require_images, score
from bench.metrics.interface import Metric, MetricBatch, MetricContext, MetricInfo, Score
from bench.metrics.statistics import share_interval

TIE_TOLERANCE = 1e-5
"""Two scores closer than this share of their size are a tie: the rounding of float32 between batches of two sizes."""


SCORES = "preference_score"
"""The judge's score of each image, in `Record.per_image`: with it any two methods can be put to the vote."""


class Preference(Metric):
    """The share of prompts won against the baseline in percent, a tie counting one half, with Wilson's interval.

    50 means as good as the baseline. `per_image` is 100 (won), 50 (tie) or 0; `beside` has the judge's own scores.
    """

    info: ClassVar[MetricInfo] = MetricInfo(
        name="preference",
        title="Preference-shapes",
        unit="%",
        higher_is_better=True,
        paper="arXiv:2305.01569",
        needs_reference=False,
        min_images=2,
        sees_prompts=True,
    )

    def __init__(self, context: MetricContext) -> None:
        require(context.judges.preference, self.info, "a preference judge", context.suite)
        if context.images_per_prompt > 1:
            raise UsageError("preference pairs an image with the baseline's of the same prompt; use one image a prompt")
        if context.baseline_preference is None:
            raise UsageError(
                f"preference needs the baseline's scores for seed {context.seed}, which suite {context.suite!r} does "
                "not have; run with --seed 0"
            )
        assert context.judges.preference is not None
        self._context = context
        self._judge: PromptScorer = context.judges.preference
        self._baseline = context.baseline_preference.detach().cpu().float()
        self._prompts = PromptList()
        self._wins: list[float] = []
        self._scores: list[float] = []

    def update(self, batch: MetricBatch) -> None:
        start = self._prompts.n
        self._prompts.add(batch.prompts, len(batch.images))
        baseline = self._baseline[start : self._prompts.n]
        if len(baseline) != len(batch.images):
            raise ValueError(f"the baseline has scores for {len(self._baseline)} images, and there are more than that")
        scores = self._judge(batch.images, batch.prompts).detach().cpu().float()
        self._wins.extend(wins(scores, baseline=baseline).tolist())
        self._scores.extend(scores.tolist())

    def compute(self) -> Score:
        require_images(self._prompts.n, self.info)
        return score(
            self.info,
            share_interval(sum(self._wins), self._prompts.n).scaled(100.0),
            protocol(
                self._context,
                self._prompts,
                judge=self._judge.name,
                judge_weights=self._judge.weights_hash,
                baseline="same prompt and seed, a tie counts one half",
            ),
            per_image=(100.0 * value for value in self._wins),
            beside={SCORES: self._scores},
        )


def wins(scores: Tensor, *, baseline: Tensor) -> Tensor:
    """1.0 where a score is above the baseline's, 0.5 at a tie, 0.0 below: float (N,), (N,) -> (N,).

    Raises:
        ValueError: for lengths that differ or a score that is not finite.
    """
    if scores.shape != baseline.shape or scores.ndim != 1:
        raise ValueError(f"scores {tuple(scores.shape)} and baseline {tuple(baseline.shape)} must both be (N,)")
    if not (scores.isfinite().all() and baseline.isfinite().all()):
        raise ValueError("preference scores must be finite")
    size = torch.maximum(scores.abs(), baseline.abs()).clamp(min=1.0)
    tie = (scores - baseline).abs() <= TIE_TOLERANCE * size
    return torch.where(tie, 0.5, (scores > baseline).float())
