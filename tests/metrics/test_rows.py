"""Features that are read in blocks give what whole arrays give, and memory does not grow with their number."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.memory import give_back
from bench.metrics import rows as rows_module
from bench.metrics.distances import (
    cmmd_pseudo_values,
    frechet_infinity,
    frechet_pseudo_values,
    gaussian,
    kernel_pseudo_values,
    mean_self_kernel,
)
from bench.metrics.features import FeatureCache
from bench.metrics.neighbours import overlap
from bench.metrics.rows import Rows, as_rows, rows_of
from bench.metrics.statistics import Array
from tests.metrics.tiny import RandomExtractor, shapes


def data(n: int, width: int = 6, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(n, width)) + 0.3


def parts(whole: Array, *cuts: int) -> Rows:
    return rows_of(np.split(whole.astype(np.float32), cuts))


def test_rows_are_those_of_the_parts() -> None:
    whole = data(50).astype(np.float32).astype(np.float64)
    rows = parts(whole, 7, 20, 20, 41)  # one part is empty
    assert (len(rows), rows.width) == (50, 6)
    for piece in (slice(0, 50), slice(3, 9), slice(20, 41), slice(48, 60), slice(5, 5)):
        assert np.array_equal(rows[piece], whole[piece])
    places = np.array([40, 3, 22, 21, 7])
    assert np.array_equal(rows.take(places), whole[np.sort(places)])
    assert np.allclose(rows.mean, whole.mean(axis=0))
    assert np.allclose(rows.centred(rows.mean)[:], whole - whole.mean(axis=0))
    assert np.allclose(np.linalg.norm(rows.scaled_to_unit()[:], axis=1), 1)


def test_bad_parts_are_refused() -> None:
    for bad, message in (
        ([], "N of at least 1"),
        ([np.zeros((0, 3))], "N of at least 1"),
        ([np.zeros(3)], r"\(N, D\)"),
        ([np.zeros((2, 3)), np.zeros((2, 4))], "width 4 after width 3"),
        ([np.full((2, 3), np.nan)], "must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            rows_of(bad)


DISTANCES: dict[str, Callable[[Array | Rows], Array]] = {
    "frechet": lambda x: frechet_pseudo_values(x, reference=gaussian(data(90, seed=1))),
    "infinity": lambda x: np.array(
        [frechet_infinity(x, reference=gaussian(data(90, seed=1)), rng=np.random.default_rng(0))]
    ),
    "kid": lambda x: kernel_pseudo_values(
        x, reference=data(90, seed=1), reference_self=mean_self_kernel(data(90, seed=1))
    ),
    "cmmd": lambda x: cmmd_pseudo_values(x, reference=data(90, seed=1)),
    "coverage": lambda x: overlap(x, reference=data(90, seed=1), neighbours=5).coverage,
    "recall": lambda x: overlap(x, reference=data(90, seed=1), neighbours=3).recall,
}


@pytest.mark.parametrize("name", DISTANCES)
def test_a_distance_is_the_same_in_blocks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = data(80).astype(np.float32).astype(np.float64)
    expected = DISTANCES[name](whole)
    for module in ("rows", "moments"):
        monkeypatch.setattr(f"bench.metrics.{module}.BLOCK", 16)
    assert DISTANCES[name](parts(whole, 13, 60)) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def peak(work: Callable[[], object]) -> int:
    """Bytes that NumPy held at most."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["frechet", "infinity", "kid", "cmmd"])
def test_memory_does_not_grow_with_the_number_of_images(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mapped features of 2,000 and of 8,000 images: a whole float64 copy of the rest would be 2.9 MB more."""
    for module in ("rows", "moments", "kernel_distance"):
        monkeypatch.setattr(f"bench.metrics.{module}.BLOCK", 256)
    monkeypatch.setattr("bench.metrics.kernel_distance.TILE", 256)
    width, peaks = 60, []
    target = data(300, width, seed=1)
    reference, own = gaussian(target), mean_self_kernel(target)
    work: dict[str, Callable[[Rows], object]] = {
        "frechet": lambda x: frechet_pseudo_values(x, reference=reference),
        "infinity": lambda x: frechet_infinity(x, reference=reference, rng=np.random.default_rng(0), splits=1),
        "kid": lambda x: kernel_pseudo_values(x, reference=target, reference_self=own),
        "cmmd": lambda x: cmmd_pseudo_values(x, reference=target),
    }
    for n in (2000, 8000):
        path = tmp_path / f"{n}.npy"
        np.save(path, data(n, width).astype(np.float32))
        rows = rows_of([np.load(path, mmap_mode="r")])
        work[name](rows_of([np.load(path, mmap_mode="r")[:500]]))  # what is made once
        peaks.append(peak(lambda rows=rows: work[name](rows)))  # type: ignore[misc]
    numbers = 6000 * 8  # one float64 an image
    assert peaks[1] - peaks[0] < 12 * numbers
    assert peak(lambda: as_rows(np.load(tmp_path / "8000.npy").astype(np.float64))[:]) > 8000 * width * 8  # is seen


def test_cached_features_are_mapped_from_their_file(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, RandomExtractor())
    features = cache.features(shapes(6))
    (file,) = tmp_path.rglob("*.safetensors")
    maps = Path("/proc/self/maps")
    if not maps.is_file():
        pytest.skip("this system does not list its maps")
    assert str(file) in maps.read_text(encoding="utf-8")
    assert features.shape == (6, 24)
    assert rows_module.BLOCK >= 256


def test_a_process_that_keeps_mapped_features_does_not_grow(tmp_path: Path) -> None:
    """32 MiB of features are computed, written and kept mapped; what the process itself holds hardly grows."""
    status = Path("/proc/self/status")
    if not status.is_file() or "RssAnon" not in status.read_text(encoding="utf-8"):
        pytest.skip("this system does not say what a process holds beside files")

    def held() -> float:
        give_back()
        text = status.read_text(encoding="utf-8")
        return int(text.split("RssAnon:")[1].split()[0]) / 1024

    class Wide(RandomExtractor):
        def __call__(self, images: torch.Tensor) -> torch.Tensor:
            return images.float().flatten(1)[:, :2048] + 0.5

    cache, kept = FeatureCache(tmp_path, Wide()), []
    images = shapes(256)
    for turn in range(20):
        if turn == 4:
            before = held()
        kept.append(cache.features(images + turn))
    assert len(kept) == 20
    assert held() - before < 16  # of 32; it is 0 to 3


@pytest.mark.slow
def test_cmmd_of_fifty_thousand_against_fifty_thousand() -> None:
    """A matrix of all pairs would be 20 GB."""
    generated, reference = data(50_000, 8), data(50_000, 8, seed=1)
    tracemalloc.start()
    found = cmmd_pseudo_values(generated, reference=reference)
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert held < 0.4e9
    assert abs(found.mean()) < 1  # of the same distribution
