"""The feature cache: nothing twice, nothing stale, nothing trusted that is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench.errors import FewstepError
from bench.metrics.features import FeatureCache, content_key, extract
from tests.metrics.tiny import RandomExtractor, shapes


def files(cache: FeatureCache) -> list[Path]:
    return sorted(cache.folder.iterdir())


def test_second_call_computes_nothing_and_gives_the_same_bytes(tmp_path: Path) -> None:
    images = shapes(20)
    first = FeatureCache(tmp_path, RandomExtractor()).features(images, batch_size=8)
    again = RandomExtractor()
    assert torch.equal(FeatureCache(tmp_path, again).features(images, batch_size=8), first)
    assert again.batches == []
    assert torch.equal(first, extract(images, RandomExtractor(), 8))
    assert first.dtype == torch.float32


def test_only_slices_with_something_new_are_computed(tmp_path: Path) -> None:
    images = shapes(20)
    FeatureCache(tmp_path, RandomExtractor()).features(images[:16], batch_size=8)
    extractor = RandomExtractor()
    images[9] = 255 - images[9]
    got = FeatureCache(tmp_path, extractor).features(images, batch_size=8)
    assert extractor.batches == [8, 4]  # the slice of image 9, and the last one
    assert torch.equal(got, extract(images, RandomExtractor(), 8))


def test_an_interrupted_run_leaves_no_trace_in_the_result(tmp_path: Path) -> None:
    images = shapes(20)
    FeatureCache(tmp_path / "stopped", RandomExtractor()).features(images[:11], batch_size=8)
    resumed = FeatureCache(tmp_path / "stopped", RandomExtractor()).features(images, batch_size=8)
    assert torch.equal(resumed, FeatureCache(tmp_path / "fresh", RandomExtractor()).features(images, batch_size=8))


@pytest.mark.parametrize("change", [{"weights_hash": "f" * 64}, {"resize": "bicubic-299"}, {"name": "another"}])
def test_another_extractor_never_sees_the_rows_of_the_first(tmp_path: Path, change: dict[str, str]) -> None:
    images = shapes(6)
    old = FeatureCache(tmp_path, RandomExtractor()).features(images)
    changed = RandomExtractor(seed=8, **change)  # type: ignore[arg-type]
    new = FeatureCache(tmp_path, changed).features(images)
    assert changed.batches == [6]
    assert not torch.allclose(old, new)


@pytest.mark.parametrize("damage", ["truncate", "flip", "foreign"])
def test_a_damaged_file_is_computed_again_and_healed(tmp_path: Path, damage: str) -> None:
    images = shapes(6)
    cache = FeatureCache(tmp_path, RandomExtractor())
    expected = cache.features(images).clone()  # it is mapped from the file
    (path,) = files(cache)
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[-3] ^= 0x40
    path.write_bytes({"truncate": data[: len(data) // 2], "flip": data, "foreign": b"not safetensors"}[damage])
    assert torch.equal(cache.features(images), expected)
    healthy = RandomExtractor()
    assert torch.equal(FeatureCache(tmp_path, healthy).features(images), expected)
    assert healthy.batches == []


def test_order_size_and_pixels_are_part_of_the_key() -> None:
    images = shapes(4)
    keys = {
        content_key(images),
        content_key(images.flip(0)),
        content_key(images[:3]),
        content_key(images.reshape(4, 3, 16, 64)),
        content_key(images.clone().index_fill_(0, torch.tensor([1]), 0)),
    }
    assert len(keys) == 5
    assert content_key(images) == content_key(images.clone())


def test_nothing_but_whole_safetensors_is_left_behind(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, RandomExtractor(name="a/b ../c"))
    cache.features(shapes(5), batch_size=2)
    assert [path.suffix for path in files(cache)] == [".safetensors"] * 3
    assert cache.folder.parent == tmp_path


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here first")
    with pytest.raises(FewstepError, match="cannot write features") as raised:
        FeatureCache(tmp_path / "file", RandomExtractor()).features(shapes(2))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "images", [torch.zeros(2, 3, 8, 8), torch.zeros(3, 8, 8, dtype=torch.uint8), torch.zeros(0, 3, 8, 8).byte()]
)
def test_bad_images_raise(tmp_path: Path, images: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="uint8"):
        FeatureCache(tmp_path, RandomExtractor()).features(images)
