"""The Frechet distance at 2,048 dimensions against the packages in use, and its interval, as ratios in one run.

Beside each ratio of wall times stands that of the processor's time, which other work on the machine does not move.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from cleanfid import fid as cleanfid
from pytest_benchmark.fixture import BenchmarkFixture
from torchmetrics.image.fid import FrechetInceptionDistance

from bench.metrics.distances import Gaussian, Moments, frechet_distance, frechet_pseudo_values, gaussian
from bench.metrics.frechet import PassThrough
from bench.metrics.statistics import Array

WIDTH, IMAGES, FEW, DEAD = 2048, 5000, 1000, 300
AGREE = 1e-6
"""Relative, at full rank."""


def features(seed: int, n: int = IMAGES, dead: int = 0) -> Array:
    """Rectified, with a spectrum that falls off and 64 directions shared by all features, as pooled activations are."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, WIDTH)) * np.arange(1, WIDTH + 1) ** -0.3
    rows += rng.normal(size=(n, 64)) @ np.random.default_rng(7).normal(size=(64, WIDTH)) / 8
    rows = np.maximum(rows + 0.1 * seed, 0)
    rows[:, :dead] = 0
    return rows


def moments(rows: Array) -> Gaussian:
    return Moments().add(rows).gaussian()


def fresh(side: Gaussian) -> Gaussian:
    """The same without anything computed before."""
    return Gaussian(side.mean, side._covariance, side.n, side.thin)


def timed(work: Callable[[], float]) -> tuple[float, float, float]:
    """(value, wall seconds, seconds of the processor)."""
    wall, processor = time.perf_counter(), time.process_time()
    value = work()
    return value, time.perf_counter() - wall, time.process_time() - processor


def clean_fid(one: Gaussian, other: Gaussian) -> float:
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(cleanfid.frechet_distance(one.mean, one.covariance, other.mean, other.covariance))


def torch_fidelity(one: Gaussian, other: Gaussian) -> float:
    from torch_fidelity.metric_fid import fid_statistics_to_metric

    sides = [{"mu": side.mean, "sigma": side.covariance} for side in (one, other)]
    return float(fid_statistics_to_metric(*sides, False)["frechet_inception_distance"])


def torchmetrics_of(one: Array, other: Array) -> Callable[[], float]:
    metric = FrechetInceptionDistance(feature=PassThrough(WIDTH))
    metric.update(torch.from_numpy(other), real=True)
    metric.update(torch.from_numpy(one), real=False)
    return lambda: float(metric.compute())


def record(benchmark: BenchmarkFixture, ours: list[tuple[float, float, float]], name: str, theirs: tuple) -> None:
    wall, processor = (statistics.median(run[place] for run in ours) for place in (1, 2))
    benchmark.extra_info[f"{name}_over_ours"] = theirs[1] / wall
    benchmark.extra_info[f"{name}_over_ours_processor"] = theirs[2] / processor
    print(f"{name}: {theirs[1]:.2f} s, ours {wall:.2f} s: {theirs[1] / wall:.1f} times; ", file=sys.stderr)  # noqa: T201
    print(f"  of the processor {theirs[2] / processor:.1f} times", file=sys.stderr)  # noqa: T201


@pytest.fixture(scope="module")
def sets() -> tuple[Array, Array]:
    return features(1), features(2)


@pytest.mark.parametrize("name", ["torchmetrics", "torch_fidelity", "clean_fid"])
def test_frechet_distance(benchmark: BenchmarkFixture, sets: tuple[Array, Array], name: str) -> None:
    one, other = (moments(rows) for rows in sets)
    peers: dict[str, Callable[[], float]] = {
        "torchmetrics": torchmetrics_of(*sets) if name == "torchmetrics" else lambda: 0.0,
        "torch_fidelity": lambda: torch_fidelity(one, other),
        "clean_fid": lambda: clean_fid(one, other),
    }

    def ours() -> float:
        return frechet_distance(generated=fresh(one), reference=fresh(other))

    runs = [timed(ours)]
    theirs = timed(peers[name])
    runs += [timed(ours), timed(ours)]
    assert runs[0][0] == pytest.approx(theirs[0], rel=AGREE)
    record(benchmark, runs, name, theirs)
    benchmark.pedantic(ours, rounds=1)


@pytest.mark.parametrize("kind", ["few images", "dead features"])
def test_singular_covariances(benchmark: BenchmarkFixture, sets: tuple[Array, Array], kind: str) -> None:
    """Against torchmetrics, the fastest of the three, on the same features; exactness has its own tests."""
    generated = features(1, n=FEW) if kind == "few images" else features(1, dead=DEAD)
    reference = sets[1] if kind == "few images" else features(2, dead=DEAD)
    one, other = gaussian(generated), gaussian(reference)

    def ours() -> float:
        return frechet_distance(generated=fresh(one), reference=fresh(other))

    runs = [timed(ours)]
    theirs = timed(torchmetrics_of(generated, reference))
    runs.append(timed(ours))
    assert runs[0][0] == pytest.approx(theirs[0], rel=1e-4)  # theirs carries the roots of rounding
    record(benchmark, runs, "torchmetrics", theirs)
    benchmark.pedantic(ours, rounds=1)


def test_interval_over_one_evaluation(benchmark: BenchmarkFixture, sets: tuple[Array, Array]) -> None:
    """Pseudo-values, the distance among them, from features; one evaluation from features takes their moments too."""
    reference = moments(sets[1])

    def once() -> float:
        return frechet_distance(generated=moments(sets[0]), reference=fresh(reference))

    def interval() -> float:
        return float(frechet_pseudo_values(sets[0], reference=fresh(reference)).mean())

    runs = [timed(once)]
    whole = timed(interval)
    runs.append(timed(once))
    assert whole[0] == pytest.approx(runs[0][0], rel=1e-9)
    record(benchmark, runs, "interval", whole)
    assert whole[2] / statistics.median(run[2] for run in runs) < 25
    benchmark.pedantic(once, rounds=1)
