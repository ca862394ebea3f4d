"""What every metric must do, whatever it measures."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from bench.errors import UsageError
from bench.judging import Judges
from bench.metrics.attributes import Attributes
from bench.metrics.clip import ClipShapes
from bench.metrics.frechet import FrechetShapes
from bench.metrics.interface import Metric, MetricBatch
from bench.metrics.kernel import KernelShapes
from bench.metrics.overlapping import Coverage, Density, Precision, Recall
from bench.metrics.preference import Preference
from tests.metrics.tiny import context, feed, prompts, shapes, tiny_clip

OVERLAPS = [Precision, Recall, Density, Coverage]
JUDGED = [FrechetShapes, KernelShapes, ClipShapes, Attributes, Preference]
METRICS = [*JUDGED, *OVERLAPS]
parametrize = pytest.mark.parametrize("metric", METRICS, ids=lambda item: item.info.name)


@parametrize
def test_score_is_complete_and_fits_a_record(metric: type[Metric]) -> None:
    score = feed(metric(context()), shapes(40)).compute()
    assert (score.quantity, score.unit) == (metric.info.name, metric.info.unit)
    assert score.higher_is_better is metric.info.higher_is_better
    assert score.n == 40
    assert score.ci_low < score.value < score.ci_high
    assert {"suite", "prompts", "codec"} <= set(score.protocol)
    assert {"extractor_weights", "judge_weights"} & set(score.protocol)
    assert json.loads(json.dumps(asdict(score), allow_nan=False))["value"] == score.value


@parametrize
def test_value_is_the_mean_of_the_per_image_numbers(metric: type[Metric]) -> None:
    score = feed(metric(context()), shapes(40)).compute()
    assert score.per_image is not None
    assert len(score.per_image) == 40
    size = max(abs(value) for value in score.per_image)
    assert np.mean(score.per_image) == pytest.approx(score.value, abs=2e-6 * size)  # 6 digits are kept of each


@parametrize
def test_batches_do_not_matter_and_order_of_prompts_is_recorded(metric: type[Metric]) -> None:
    images = shapes(40)
    whole, split = (feed(metric(context()), images, sizes).compute() for sizes in (None, [1, 7, 32]))
    assert split.value == pytest.approx(whole.value, rel=1e-5)
    assert split.per_image == pytest.approx(whole.per_image, rel=1e-3, abs=1e-3)
    assert split.protocol == whole.protocol
    other = metric(context())
    other.update(MetricBatch(images=images, prompts=prompts(40, start=1), features=None))
    assert other.compute().protocol["prompts"] != whole.protocol["prompts"]


@parametrize
def test_too_few_images_raise(metric: type[Metric]) -> None:
    with pytest.raises(ValueError, match=f"at least {metric.info.min_images} images, not 0"):
        metric(context()).compute()
    few = metric.info.min_images - 1
    with pytest.raises(ValueError, match=f"not {few}"):
        feed(metric(context()), shapes(few)).compute()
    assert feed(metric(context()), shapes(few + 1)).compute().n == few + 1


@pytest.mark.parametrize("metric", JUDGED, ids=lambda item: item.info.name)
def test_a_suite_without_the_judge_is_a_usage_error_that_names_the_fix(metric: type[Metric]) -> None:
    with pytest.raises(UsageError, match=rf"{metric.info.name} needs .*'tiny'.*(choose|run with)") as raised:
        metric(replace(context(), judges=Judges()))
    assert raised.value.exit_code == 2
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("metric", [FrechetShapes, KernelShapes, *OVERLAPS])
def test_set_metrics_need_a_reference(metric: type[Metric]) -> None:
    assert metric.info.needs_reference
    with pytest.raises(UsageError, match="reference features"):
        metric(replace(context(), reference=None))


def test_preference_needs_a_baseline() -> None:
    with pytest.raises(UsageError, match="baseline's scores for seed 0"):
        Preference(replace(context(), baseline_preference=None))


@parametrize
def test_prompts_and_images_must_match(metric: type[Metric]) -> None:
    with pytest.raises(ValueError, match="5 images came with 4 prompts"):
        metric(context()).update(MetricBatch(images=shapes(5), prompts=prompts(4), features=None))


@parametrize
def test_global_random_state_is_untouched(metric: type[Metric]) -> None:
    given, images = context(clip=tiny_clip()), shapes(40)
    before = random.getstate(), str(np.random.get_state()), torch.get_rng_state()  # noqa: NPY002
    feed(metric(given), images, [20, 20]).compute()
    assert random.getstate() == before[0]
    assert str(np.random.get_state()) == before[1]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[2])


def test_the_random_state_check_sees_clean_fids_kernel_distance() -> None:
    from cleanfid.fid import kernel_distance

    kept = np.random.get_state()  # noqa: NPY002
    before, rows = str(kept), np.random.default_rng(0).normal(size=(10, 3))
    kernel_distance(rows, rows + 1, num_subsets=1)
    assert str(np.random.get_state()) != before  # noqa: NPY002
    np.random.set_state(kept)  # noqa: NPY002


@parametrize
def test_the_same_images_give_the_same_bytes(metric: type[Metric]) -> None:
    first, second = (feed(metric(context()), shapes(30)).compute() for _ in range(2))
    assert json.dumps(asdict(first)) == json.dumps(asdict(second))
