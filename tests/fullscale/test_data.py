"""Folders and tar shards give the same samples; what is missing or damaged is named; batches belong to (seed, step)."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
import torch

from bench.errors import FewstepError
from bench.fullscale.batches import Ahead
from bench.fullscale.data import read_samples
from bench.fullscale.pictures import square
from bench.training.order import Order
from tests.fullscale.make import CAPTIONS, SIZES, add, picture, write_folder, write_shards


def contents(data: Path) -> list[tuple[str, str, bytes]]:
    return [(sample.name, sample.caption, sample.read()) for sample in read_samples(data)]


def test_a_folder_and_shards_hold_the_same_samples(tmp_path: Path) -> None:
    folder, shards = contents(write_folder(tmp_path / "folder")), contents(write_shards(tmp_path / "shards"))
    assert folder == shards
    assert [caption for _, caption, _ in folder] == [CAPTIONS[index] for index in (0, 2, 3, 4, 5, 1)]
    assert folder[0][2] == picture(0)
    assert len(contents(tmp_path / "shards" / "00000.tar")) == 3


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_captions_may_stand_in_one_metadata_file(kind: str, tmp_path: Path) -> None:
    expected = contents(write_folder(tmp_path))
    for path in list(tmp_path.rglob("*.txt")):
        path.unlink()
    rows = [(f"{name}.png", caption) for name, caption, _ in expected]
    if kind == "jsonl":
        lines = [json.dumps({"file_name": name, "text": caption}) for name, caption in rows]
    else:
        lines = ["file_name,caption", *(f'{name},"{caption}"' for name, caption in rows)]
    (tmp_path / f"metadata.{kind}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert contents(tmp_path) == expected


def test_a_folder_that_is_not_there_or_empty_is_named(tmp_path: Path) -> None:
    with pytest.raises(FewstepError, match=r"--data .*nothing: no such folder or tar file"):
        read_samples(tmp_path / "nothing")
    with pytest.raises(FewstepError, match="no images in it"):
        read_samples(tmp_path)


def test_an_image_without_caption_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / "image3.txt").unlink()
    with pytest.raises(FewstepError, match=r"image3\.png: no caption; put it into image3\.txt .*\(1 of 6 images"):
        read_samples(tmp_path)


def test_shards_without_captions_or_with_a_key_twice_are_named(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        add(archive, "one.png", picture(0))
    with pytest.raises(FewstepError, match=r"a\.tar: one\.png has no caption; .*KEY\.txt or KEY\.json"):
        read_samples(tmp_path)
    for name in ("a", "b"):
        with tarfile.open(tmp_path / f"{name}.tar", "w") as archive:
            add(archive, "one.png", picture(0))
            add(archive, "one.txt", b"one")
    with pytest.raises(FewstepError, match=r"a\.tar:one\.png and .*b\.tar:one\.png have one name"):
        read_samples(tmp_path)


def test_damaged_shards_and_metadata_are_named(tmp_path: Path) -> None:
    (tmp_path / "bad.tar").write_bytes(b"not a tar" * 100)
    with pytest.raises(FewstepError, match=r"bad\.tar: not a whole, uncompressed tar"):
        read_samples(tmp_path)
    (tmp_path / "bad.tar").unlink()
    (tmp_path / "image0.png").write_bytes(picture(0))
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "image0.png"}\n', encoding="utf-8")
    with pytest.raises(FewstepError, match=r"metadata\.jsonl, row 1: needs file_name and one of text, caption"):
        read_samples(tmp_path)
    (tmp_path / "metadata.jsonl").write_text("{", encoding="utf-8")
    with pytest.raises(FewstepError, match=r"metadata\.jsonl, line 1: not JSON"):
        read_samples(tmp_path)


def test_an_image_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    sample = read_samples(write_folder(tmp_path))[0]
    for content in (b"", b"no image", sample.read()[:200]):
        with pytest.raises(FewstepError, match=r"image0\.png: not a readable image"):
            square(sample, content, 16)


def test_the_middle_is_kept_and_the_time_ids_say_what_was_cut(tmp_path: Path) -> None:
    samples = {sample.name: sample for sample in read_samples(write_folder(tmp_path))}
    for index, (width, height) in enumerate(SIZES):
        sample = samples[f"{'inner/' if index == 1 else ''}image{index}"]
        pixels, time_ids = square(sample, sample.read(), 32)
        assert pixels.shape == (3, 32, 32)
        assert pixels.dtype == torch.uint8
        long = round(max(width, height) * 32 / min(width, height))
        top, left = ((long - 32) // 2, 0) if height > width else (0, (long - 32) // 2)
        assert time_ids.tolist() == [height, width, top, left, 32, 32]
    unscaled, _ = square(samples["image3"], samples["image3"].read(), 64)  # 64 x 64 already: not a level changes
    assert unscaled[0, 0, 0] == int(127 + 120 * torch.tensor(3.0).sin())


def test_every_epoch_shows_every_image_once_in_an_order_of_its_own() -> None:
    order = Order(10, seed=3)
    epochs = [order.indices(start, 10) for start in (0, 10, 20)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert order.indices(7, 6) == [*epochs[0][7:], *epochs[1][:3]]
    assert Order(10, seed=3).indices(12, 4) == epochs[1][2:6]
    assert Order(10, seed=4).indices(0, 10) != epochs[0]
    assert list(order.needed(4)) == sorted(epochs[0][:4])
    assert list(order.needed(25)) == list(range(10))


def test_reading_ahead_changes_nothing() -> None:
    asked: list[int] = []

    def batch_at(step: int) -> dict[str, int]:
        asked.append(step)
        if step == 5:
            raise FewstepError("image 5 is gone")
        return {"step": step}

    ahead = Ahead(batch_at, 5)
    assert [ahead(step)["step"] for step in (0, 1, 3, 4)] == [0, 1, 3, 4]
    assert sorted(asked) == [0, 1, 2, 3, 4]
    ahead.close()
    late = Ahead(batch_at, 6)
    assert late(4) == {"step": 4}
    with pytest.raises(FewstepError, match="image 5 is gone"):
        late(5)
    late.close()
