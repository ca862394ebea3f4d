"""Per-image metrics mean what they are read as: shares of a whole, wins over the baseline, the caption's own image."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from bench.judging import Prompt
from bench.metrics.attributes import Attributes
from bench.metrics.interface import MetricBatch
from bench.metrics.preference import Preference, wins
from bench.metrics.statistics import paired_difference
from tests.metrics.tiny import Brightness, context, feed, prompts, shapes


def flat(levels: Sequence[int]) -> Tensor:
    return torch.tensor(levels, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 32, 32).contiguous()


def test_attributes_is_the_share_of_exact_images() -> None:
    score = feed(Attributes(context()), flat([200, 200, 200, 10])).compute()
    assert score.value == 75.0
    assert score.per_image == (100.0, 100.0, 100.0, 0.0)
    assert 0 < score.ci_low < 75 < score.ci_high < 100


def test_all_exact_still_has_an_interval() -> None:
    score = feed(Attributes(context()), flat([200] * 50)).compute()
    assert (score.value, score.ci_high) == (100.0, 100.0)
    assert 90 < score.ci_low < 95


def test_a_judge_that_does_not_answer_yes_or_no_is_refused() -> None:
    with pytest.raises(ValueError, match="one 0 or 1 an image"):
        feed(Attributes(context(attributes=Brightness())), flat([200, 10]))


def preference(baseline: Sequence[int], images: Sequence[int]) -> float:
    scores = torch.tensor(baseline, dtype=torch.float32)
    return feed(Preference(context(baseline=scores)), flat(images)).compute().value


def test_preference_counts_wins_and_half_ties() -> None:
    assert preference([100, 100, 100, 100], [200, 200, 200, 200]) == 100.0
    assert preference([100, 100, 100, 100], [1, 2, 3, 4]) == 0.0
    assert preference([100, 100, 100, 100], [200, 1, 100, 100]) == 50.0
    assert preference([100, 100, 100, 100], [200, 200, 100, 1]) == 62.5


def test_the_baseline_against_itself_is_exactly_half_even_with_rounding() -> None:
    images = shapes(64)
    own = Brightness()(images, prompts(64))
    rounding = own * (1 + 1e-6 * torch.linspace(-1, 1, 64))
    assert feed(Preference(context(baseline=rounding)), images).compute().value == 50.0
    better = own * (1 - 1e-3)
    assert feed(Preference(context(baseline=better)), images).compute().value == 100.0


def test_swapping_candidate_and_baseline_gives_the_rest() -> None:
    first, second = [10, 200, 50, 60, 70], [20, 100, 50, 61, 1]
    assert preference(first, second) + preference(second, first) == 100.0


def test_each_image_meets_the_baseline_of_its_own_prompt() -> None:
    """Batches after the first are compared with the baseline's later scores, not with its first ones again."""
    baseline = torch.tensor([10.0, 10.0, 250.0, 250.0])
    score = feed(Preference(context(baseline=baseline)), flat([100, 100, 100, 100]), [2, 2]).compute()
    assert score.per_image == (100.0, 100.0, 0.0, 0.0)


def test_more_images_than_baseline_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="scores for 3 images"):
        feed(Preference(context(baseline=torch.zeros(3))), flat([1, 2, 3, 4]))


def test_scores_must_be_numbers() -> None:
    class Broken(Brightness):
        def __call__(self, images: Tensor, prompts: Sequence[Prompt]) -> Tensor:
            return torch.full((len(images),), float("nan"))

    with pytest.raises(ValueError, match="finite"):
        feed(Preference(context(preference=Broken())), flat([1, 2]))
    with pytest.raises(ValueError, match=r"must both be \(N,\)"):
        wins(torch.zeros(2), baseline=torch.zeros(3))
    with pytest.raises(TypeError):
        wins(torch.zeros(2), torch.zeros(2))  # type: ignore[misc]


def test_per_image_numbers_give_the_paired_difference_of_two_methods() -> None:
    first, second = (
        feed(Attributes(context()), flat(levels)).compute() for levels in ([200, 200, 10, 200], [200, 10, 10, 10])
    )
    assert first.per_image is not None
    assert second.per_image is not None
    difference = paired_difference(candidate=first.per_image, baseline=second.per_image)
    assert difference.value == first.value - second.value == 50.0


def test_images_before_prompts_are_counted_once() -> None:
    metric = Attributes(context())
    metric.update(MetricBatch(images=flat([200, 10]), prompts=prompts(2), features=None))
    assert metric.compute().n == metric.compute().n == 2  # asking twice changes nothing


def test_the_judges_own_scores_are_kept_beside_the_wins() -> None:
    found = feed(Preference(context(baseline=torch.tensor([90.0, 110.0]))), flat([100, 100])).compute()
    assert found.per_image == (100.0, 0.0)
    assert found.beside == {"preference_score": (100.0, 100.0)}
