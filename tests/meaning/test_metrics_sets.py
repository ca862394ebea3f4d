"""Set distances mean what they are read as: zero for the same set, larger for worse images, unmoved by labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.metrics.distances import frechet_distance, frechet_pseudo_values, gaussian, kernel_pseudo_values
from bench.metrics.features import extract
from bench.metrics.frechet import FrechetShapes
from bench.metrics.interface import Metric
from bench.metrics.kernel import KernelShapes
from tests.metrics.tiny import RandomExtractor, context, feed, shapes

SETS = [FrechetShapes, KernelShapes]
parametrize = pytest.mark.parametrize("metric", SETS, ids=lambda item: item.info.name)
N = 200


def blurred(images: Tensor) -> Tensor:
    smooth = F.avg_pool2d(images.float(), 5, stride=1, padding=2, count_include_pad=False)
    return smooth.round().to(torch.uint8)


def noise(n: int) -> Tensor:
    return torch.randint(0, 256, (n, 3, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def value(metric: type[Metric], images: Tensor) -> float:
    return feed(metric(context()), images).compute().value


@parametrize
def test_noise_is_worse_than_blur_is_worse_than_real(metric: type[Metric]) -> None:
    assert not metric.info.higher_is_better
    real, blur, random = (value(metric, images) for images in (shapes(N), blurred(shapes(N)), noise(N)))
    assert real < 0.2 * blur
    assert blur < 0.5 * random


@parametrize
def test_intervals_separate_real_from_blurred(metric: type[Metric]) -> None:
    real, blur = (feed(metric(context()), images).compute() for images in (shapes(N), blurred(shapes(N))))
    assert real.ci_high < blur.ci_low


@parametrize
def test_one_image_over_and_over_is_worse_than_many(metric: type[Metric]) -> None:
    """Mode collapse: each image alone is perfect, and the set is not."""
    few = shapes(4).repeat(N // 4, 1, 1, 1)
    assert value(metric, few) > 3 * abs(value(metric, shapes(N)))


def test_the_very_same_set_has_distance_zero() -> None:
    features = extract(shapes(N), RandomExtractor())
    score = feed(FrechetShapes(context(reference=features)), shapes(N)).compute()
    scale = float(features.var(dim=0).sum())
    assert score.value < 1e-6 * scale
    assert score.ci_low >= 0
    other = feed(FrechetShapes(context(reference=features)), shapes(N, start=N)).compute()
    assert other.value > 1e-4 * scale  # real against other real images: the floor is not zero


def test_the_frechet_distance_falls_with_n_which_is_why_n_is_in_its_protocol() -> None:
    small, large = (feed(FrechetShapes(context()), shapes(n)).compute() for n in (50, 400))
    assert small.value > large.value
    assert small.protocol["n"] != large.protocol["n"]


def test_the_frechet_distance_is_symmetric_and_sets_are_named() -> None:
    first, second = (gaussian(extract(images, RandomExtractor()).numpy()) for images in (shapes(N), blurred(shapes(N))))
    forward = frechet_distance(generated=first, reference=second)
    assert forward == pytest.approx(frechet_distance(generated=second, reference=first), rel=1e-6)
    with pytest.raises(TypeError):
        frechet_distance(first, second)  # type: ignore[misc]
    rows = np.zeros((3, 2))
    with pytest.raises(TypeError):
        frechet_pseudo_values(rows, second)  # type: ignore[misc]
    with pytest.raises(TypeError):
        kernel_pseudo_values(rows, rows, 0.0)  # type: ignore[misc]


def test_swapped_sets_do_not_give_the_same_pseudo_values() -> None:
    """Unlike the distance, its uncertainty belongs to the generated side: a control that the sides are told apart."""
    first, second = (extract(images, RandomExtractor()).double().numpy() for images in (shapes(N), noise(N)))
    forward = frechet_pseudo_values(first, reference=gaussian(second))
    backward = frechet_pseudo_values(second, reference=gaussian(first))
    assert forward.mean() == pytest.approx(backward.mean(), rel=1e-6)
    assert forward.std() != pytest.approx(backward.std(), rel=0.01)


@parametrize
def test_worst_images_add_most(metric: type[Metric]) -> None:
    """A tenth of the set is noise: those images have the largest pseudo-values."""
    images = torch.cat([shapes(180), noise(20)])
    per_image = np.array(feed(metric(context()), images).compute().per_image)
    assert np.median(per_image[180:]) > np.quantile(per_image[:180], 0.95)
