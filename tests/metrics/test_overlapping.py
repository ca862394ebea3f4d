"""Precision, recall, density and coverage as metrics: what each sees, computed once for all, intervals at the ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.errors import UsageError
from bench.judging import Judges, images_of
from bench.metrics import reference as reference_module
from bench.metrics.features import extract
from bench.metrics.interface import Metric, MetricBatch, Score
from bench.metrics.neighbours import overlap
from bench.metrics.overlapping import Coverage, Density, Precision, Recall
from tests.metrics.tiny import RandomExtractor, context, feed, prompts, shapes

FOUR = [Precision, Recall, Density, Coverage]


def scores(images: torch.Tensor) -> dict[str, Score]:
    return {metric.info.name: feed(metric(context()), images).compute() for metric in FOUR}


def test_values_are_those_of_the_definition_at_the_papers_k() -> None:
    images, given = shapes(60), context()
    features = extract(images, RandomExtractor()).double().numpy()
    assert given.reference is not None
    real = given.reference.double().numpy()
    three, five = (overlap(features, reference=real, neighbours=k) for k in (3, 5))
    found = scores(images)
    assert found["precision"].value == pytest.approx(100 * three.precision.mean())
    assert found["recall"].value == pytest.approx(100 * three.recall.mean())
    assert found["density"].value == pytest.approx(five.density.mean())
    assert found["coverage"].value == pytest.approx(100 * five.coverage.mean())
    assert {found[name].protocol["neighbours"] for name in ("precision", "recall")} == {3}
    assert {found[name].protocol["neighbours"] for name in ("density", "coverage")} == {5}


def test_few_real_images_over_and_over_are_precise_and_cover_little() -> None:
    many, few = scores(shapes(60)), scores(shapes(6).repeat(10, 1, 1, 1))
    assert few["precision"].value > 0.8 * many["precision"].value
    assert few["recall"].ci_high < many["recall"].ci_low
    assert few["coverage"].ci_high < many["coverage"].ci_low


def test_noise_is_far_from_everything_and_has_an_interval_still() -> None:
    """Pseudo-values of nothing covered are all alike; an interval without a width would claim to be sure."""
    noise = torch.randint(0, 256, (60, 3, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    found = scores(noise)
    assert [found[name].value for name in ("precision", "recall", "density", "coverage")] == [0.0] * 4
    for name in ("precision", "recall", "coverage"):
        assert found[name].ci_low == 0.0
        assert 1 < found[name].ci_high < 10  # about 100 * 3.8 / (60 + 3.8), Wilson's


def test_all_four_are_computed_once_for_each_k(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    whole = reference_module.overlap_of

    def counted(*given: object) -> object:
        seen.append(given[2].k)  # type: ignore[attr-defined]
        return whole(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(reference_module, "overlap_of", counted)
    monkeypatch.setattr(reference_module, "_known", {})
    scores(shapes(40))
    assert sorted(seen) == [3, 5]
    scores(shapes(40, start=60))  # other images are not mistaken for those
    assert sorted(seen) == [3, 3, 5, 5]


@pytest.mark.parametrize("metric", FOUR)
def test_images_of_one_prompt_are_drawn_together(metric: type[Metric]) -> None:
    """The same images count for less where four come from each prompt."""
    images = shapes(15).repeat_interleave(4, dim=0)
    images[1::2] = images[1::2] // 2  # so that not all copies are equal
    alone = feed(metric(context()), images).compute()
    together = metric(replace(context(), images_per_prompt=4))
    together.update(MetricBatch(images, images_of(prompts(15), 4), None))
    found = together.compute()
    assert found.value == pytest.approx(alone.value)
    assert found.protocol["images_per_prompt"] == 4
    if metric is Density:
        assert found.ci_high - found.ci_low > 1.2 * (alone.ci_high - alone.ci_low)


def test_a_suite_without_a_recogniser_takes_dinov2() -> None:
    with pytest.raises(UsageError, match=r"recall needs the weights of DINOv2 ViT-L/14: --metric-weights dinov2=hub"):
        Recall(replace(context(), judges=Judges()))


def test_shares_stay_within_their_range() -> None:
    for name, found in scores(shapes(40)).items():
        assert found.ci_low >= 0, name
        assert name == "density" or found.ci_high <= 100, name
        assert np.isfinite(found.per_image or ()).all()
