"""Rates of the world: scenes, captions and pictures a second."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.suites.shapes.captions import captions
from bench.suites.shapes.render import render
from bench.suites.shapes.scenes import make_scenes

BATCHES = pytest.mark.parametrize("batch", [64, 1000])


def rate(benchmark: BenchmarkFixture, images: int) -> None:
    """Put images a second beside the seconds, where benchmarks are enabled."""
    if benchmark.stats is not None:
        benchmark.extra_info["images_per_s"] = images / benchmark.stats.stats.median


@BATCHES
def test_from_index_to_picture(benchmark: BenchmarkFixture, batch: int) -> None:
    images = benchmark(lambda: render(make_scenes("train", range(batch))))
    assert len(images) == batch
    rate(benchmark, batch)


@BATCHES
def test_scenes(benchmark: BenchmarkFixture, batch: int) -> None:
    assert len(benchmark(make_scenes, "train", range(batch))) == batch
    rate(benchmark, batch)


@BATCHES
def test_captions(benchmark: BenchmarkFixture, batch: int) -> None:
    assert len(benchmark(captions, make_scenes("train", range(batch)))) == batch
    rate(benchmark, batch)
