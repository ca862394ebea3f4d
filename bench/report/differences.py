"""Differences between methods over the same images: interval, test, Holm's correction over a table, and a verdict.

Two methods drew the same prompts from the same noise, so what is compared is one number an image, image by image. The
images of one prompt count as one draw of that prompt. A distance between sets comes as pseudo-values whose mean it is,
and is compared alike: they are linear in the images, so resampling them adds no bias.

Each interval is 95 % for itself (SciPy's bootstrap over prompts); the verdict rests on Student's t over prompts,
corrected for the number of comparisons in the table by Holm 1979 (statsmodels). So an interval may exclude zero where
the verdict is that one cannot tell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, groupby
from typing import Literal

import numpy as np
from scipy.special import stdtr

from bench.clusters import Clustered, clustered
from bench.record import Record
from bench.report.display import Display
from bench.report.frame import check_protocols

Verdict = Literal["better", "worse", "cannot tell"]

ALPHA = 0.05
"""How often, over a whole table of equal methods, any is called different."""

POWER = 0.8
"""How surely the number of images that would tell does tell, if the difference is as large as it seems."""

MIN_PROMPTS = 30
"""Fewest prompts whose mean difference is taken to be normal."""

WORTH_SAYING = 100
"""Times the images there are; where more than that would be needed, two methods are as good as equal."""


@dataclass(frozen=True)
class Difference:
    """`one` less `other` on one quantity, in its stored unit, and what can be said about it.

    `n` counts images and `prompts` what is independent. `p_holm` is corrected over the table, `p_value` is not.
    `images_to_tell` is about how many images would tell a difference of this size; None where it is zero or where there
    are too few prompts to say.
    """

    one: Record
    other: Record
    column: Display
    value: float
    low: float
    high: float
    n: int
    prompts: int
    p_value: float
    p_holm: float
    verdict: Verdict
    images_to_tell: int | None

    @property
    def worth_saying(self) -> bool:
        """Whether more images are advice."""
        return self.images_to_tell is not None and self.images_to_tell <= WORTH_SAYING * self.n


def pairs(records: Sequence[Record], against: str | None = None) -> list[tuple[Record, Record]]:
    """All pairs of records at the same number of steps, or each against the method `against`, in the order given."""
    ordered = sorted(records, key=_steps)
    found = [pair for _, group in groupby(ordered, key=_steps) for pair in combinations(group, 2)]
    if against is None:
        return found
    turned = [(one, other) if other.cell.method == against else (other, one) for one, other in found]
    return [(one, other) for one, other in turned if other.cell.method == against != one.cell.method]


def differences(compared: Sequence[tuple[Record, Record]], columns: Sequence[Display]) -> list[Difference]:
    """Every score that both records of a pair have image by image: one table, corrected as one.

    Raises:
        RecordError: where the protocols of two records differ, naming the field.
    """
    for pair in compared:
        check_protocols(pair)
    found = [_uncorrected(*pair, column) for pair in compared for column in columns if _paired(*pair, column.name)]
    return corrected(found)


def corrected(table: Sequence[Difference]) -> list[Difference]:
    """The same comparisons with Holm's correction over all of them, verdicts, and how many images would tell."""
    if not table:
        return []
    from statsmodels.stats.multitest import multipletests  # takes a second to import

    p_values = [item.p_value for item in table]
    rejected, p_holm, _, _ = multipletests(p_values, alpha=ALPHA, method="holm")
    ranks = np.argsort(np.argsort(p_values, kind="stable"), kind="stable")
    return [
        replace(
            item,
            p_holm=float(p),
            verdict=_verdict(item, bool(told)),
            images_to_tell=_images_to_tell(item, ALPHA / (len(table) - int(rank))),
        )
        for item, p, told, rank in zip(table, p_holm, rejected, ranks, strict=True)
    ]


def difference_by_prompt(one: Record, other: Record, name: str) -> Clustered:
    """The differences of one score, image by image, gathered by prompt."""
    values = np.subtract(one.per_image[name], other.per_image[name])
    clusters = getattr(one, "clusters", ())
    return clustered(values, clusters if len(clusters) == len(values) else None)


def _uncorrected(one: Record, other: Record, column: Display) -> Difference:
    by_prompt = difference_by_prompt(one, other, column.name)
    low, high = by_prompt.bootstrap(np.random.default_rng(0))
    n, prompts = int(by_prompt.counts.sum()), len(by_prompt.sums)
    p = _p_value(by_prompt)
    return Difference(one, other, column, by_prompt.mean, low, high, n, prompts, p, p, "cannot tell", None)


def _paired(one: Record, other: Record, name: str) -> bool:
    first, second = one.per_image.get(name, ()), other.per_image.get(name, ())
    return len(first) == len(second) > 1


def _p_value(by_prompt: Clustered) -> float:
    """Of no difference, by Student's t over prompts; 1 where there are too few of them to say."""
    prompts, mean, error = len(by_prompt.sums), by_prompt.mean, by_prompt.standard_error
    if prompts < MIN_PROMPTS or mean == 0:
        return 1.0
    return 0.0 if error <= 1e-14 * abs(mean) else float(2 * stdtr(prompts - 1, -abs(mean) / error))


def _verdict(item: Difference, told: bool) -> Verdict:
    if not told:
        return "cannot tell"
    return "better" if (item.value > 0) == item.column.higher_is_better else "worse"


def _images_to_tell(item: Difference, alpha: float) -> int | None:
    """For a two-sided test at `alpha` with `POWER`, if prompts differ as much among themselves as they do here."""
    from statsmodels.stats.power import normal_sample_size_one_tail

    by_prompt = difference_by_prompt(item.one, item.other, item.column.name)
    spread = by_prompt.standard_error * math.sqrt(item.prompts)
    if item.prompts < MIN_PROMPTS or item.value == 0 or not spread > 0:
        return None
    prompts = float(normal_sample_size_one_tail(abs(item.value), POWER, alpha / 2, std_null=spread))
    return math.ceil(max(prompts, 2.0) * item.n / item.prompts)


def _steps(record: Record) -> int:
    return record.cell.num_inference_steps
