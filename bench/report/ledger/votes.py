"""Votes between two cells: which image of the same prompt and seed a judge scores higher, a tie counting one half.

The paper asks people two questions, which image looks better and which follows the prompt. Here the preference model
answers the first and the CLIP judge the second. Prompts are what is drawn, so several images of a prompt are one vote,
their mean. Intervals are Wilson's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.record import Record
from bench.report.frame import check_protocols

TIE = 1e-5
"""Two scores closer than this share of their size are a tie: the rounding of a record and of float32."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Question:
    """A question of the study and the scores that answer it: the first of `scores` that both records have.

    `teacher` is a score that only says whether an image beats the teacher's of the same prompt and seed (100, 50 or 0).
    It decides a vote where one image beats the teacher's and the other does not, and leaves it undecided elsewhere.
    """

    name: str
    title: str
    published: str
    scores: tuple[str, ...]
    judge: str
    teacher: str | None = None


QUALITY = Question(
    "quality", "image quality", "quality_pct", ("preference_score", "pickscore"), "preference model", "preference"
)
ALIGNMENT = Question("alignment", "prompt alignment", "alignment_pct", ("clip-shapes", "clip-score"), "CLIP judge")
QUESTIONS = (QUALITY, ALIGNMENT)


@dataclass(frozen=True)
class Votes:
    """One vote a prompt: 1 for the first cell, 0 for the second, 0.5 for a tie; `by` says which score decided."""

    scores: Array
    by: str
    undecided: float

    @property
    def share(self) -> float:
        """Per cent for the first cell."""
        return 100 * float(self.scores.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval in per cent; with ties it is, if anything, too wide."""
        from statsmodels.stats.proportion import proportion_confint  # takes a second to import

        low, high = proportion_confint(float(self.scores.sum()), len(self.scores), method="wilson")
        return 100 * float(low), 100 * float(high)

    @property
    def p_value(self) -> float:
        """Of even odds, by the score test that Wilson's interval inverts."""
        z = (self.scores.mean() - 0.5) / math.sqrt(0.25 / len(self.scores))
        return math.erfc(abs(z) / math.sqrt(2))


def votes(one: Record, other: Record, question: Question, limit: int | None = None) -> Votes | None:
    """The votes on `question` over the first `limit` prompts; None where the two have no score of it in common.

    Raises:
        RecordError: where the protocols of two records differ, naming the field.
    """
    check_protocols((one, other))
    for score in question.scores:
        if score in one.per_image and score in other.per_image:
            first, second = _paired(one, other, score)
            return _votes(_by_prompt(one, _compared(first, second)), score, limit)
    if question.teacher is not None and question.teacher in one.per_image and question.teacher in other.per_image:
        first, second = _paired(one, other, question.teacher)
        return _votes(_by_prompt(one, _compared(first, second)), question.teacher, limit)
    return None


def _votes(scores: Array, by: str, limit: int | None) -> Votes:
    kept = scores[:limit]
    return Votes(kept, by, float((kept == 0.5).mean()))


def _paired(one: Record, other: Record, score: str) -> tuple[Array, Array]:
    first, second = (np.asarray(record.per_image[score], dtype=np.float64) for record in (one, other))
    n = min(len(first), len(second))
    return first[:n], second[:n]


def _compared(first: Array, second: Array) -> Array:
    size = np.maximum(np.maximum(np.abs(first), np.abs(second)), 1e-12)
    tie = np.abs(first - second) <= TIE * size
    return np.where(tie, 0.5, (first > second).astype(np.float64))


def _by_prompt(record: Record, scores: Array) -> Array:
    """The mean vote of each prompt, in prompt order."""
    if len(record.clusters) != len(scores):
        return scores
    clusters = np.asarray(record.clusters)
    means: Array = np.bincount(clusters, weights=scores) / np.bincount(clusters)
    return means
