"""COCO as a suite: ids, captions and pixels are choices, made one way and written down."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench.errors import FewstepError, UsageError
from bench.suites.coco import info
from bench.suites.coco.suite import CocoSuite
from bench.suites.pictures import read_square
from tests.suites.make import write_coco


@pytest.fixture
def coco(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(info, "COUNT", 12)
    monkeypatch.setattr("bench.suites.coco.suite.SIZE", 16)
    return write_coco(tmp_path / "coco")


def test_prompts_are_the_first_captions_in_the_order_of_image_ids(coco: Path) -> None:
    prompts = CocoSuite(coco).prompts()
    ids = [int(prompt.id) for prompt in prompts]
    assert len(ids) == 12
    assert ids == sorted(ids)
    assert [prompt.text for prompt in prompts] == [f"first {image_id}." for image_id in ids]
    assert CocoSuite(coco).prompts(3) == prompts[:3]


def test_reference_and_real_images_are_the_same_square(coco: Path) -> None:
    suite = CocoSuite(coco)
    images = torch.cat(list(suite.reference_images()))
    assert images.shape == (12, 3, 16, 16)
    assert torch.equal(images[4:6], suite.real_images(suite.prompts()[4:6]))
    name = suite.picks[0].file_name
    with Image.open(coco / "val2017" / name) as opened:
        width, height = opened.size
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        square = opened.convert("RGB").crop((left, top, left + side, top + side))
        expected = np.array(square.resize((16, 16), Image.Resampling.LANCZOS))
    assert np.array_equal(images[0].permute(1, 2, 0).numpy(), expected)


def test_everything_that_was_chosen_is_written_down_and_hashed(coco: Path) -> None:
    suite = CocoSuite(coco)
    about = suite.description
    assert about["image_and_annotation_ids"] == [[pick.image_id, pick.annotation_id] for pick in suite.picks]
    assert {"crop", "resize", "caption", "order"} <= set(about)
    json.dumps(about)
    before = suite.reference_protocol
    assert before.startswith("12 images of COCO 2017 val, centre square, Pillow Lanczos")
    path = coco / "val2017" / suite.picks[5].file_name
    Image.new("RGB", (30, 30)).save(path)
    assert CocoSuite(coco).reference_protocol != before
    assert CocoSuite(coco).description["ids_and_captions_sha256"] == about["ids_and_captions_sha256"]


def test_what_is_missing_is_named(coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"captions_val2017\.json is not there; unpack annotations_trainval2017.zip"):
        CocoSuite(tmp_path)
    gone = CocoSuite(coco).picks[3].file_name
    (coco / "val2017" / gone).unlink()
    with pytest.raises(UsageError, match=f"1 images are missing, such as val2017/{gone}; unpack val2017.zip"):
        CocoSuite(coco)
    monkeypatch.setattr(info, "COUNT", 5000)
    with pytest.raises(UsageError, match="captions of 12 images and val2017 5,000"):
        CocoSuite(coco)
    (coco / info.CAPTIONS).write_text("[]")
    with pytest.raises(UsageError, match="is damaged or not COCO's captions"):
        CocoSuite(coco)


def damaged(path: Path, kind: str) -> None:
    size, rng = (20, 20), np.random.default_rng(0)
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "corrupt":
        path.write_bytes(b"\xff\xd8\xff" + b"x" * 500)
    elif kind == "truncated":
        Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path, "png")
        path.write_bytes(path.read_bytes()[:-3000])
    elif kind == "16-bit":
        Image.fromarray(rng.integers(0, 60000, size, dtype=np.uint16)).save(path, "png")
    else:
        Image.new(kind, size).save(path, "png")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("empty", "is empty; get it again"),
        ("corrupt", "is damaged, cut short or no image"),
        ("truncated", "is damaged, cut short or no image"),
        ("16-bit", "has more than 8 bits a channel"),
        ("RGBA", "has an alpha channel"),
        ("LA", "has an alpha channel"),
    ],
)
def test_an_image_that_cannot_be_used_is_one_line(tmp_path: Path, kind: str, message: str) -> None:
    path = tmp_path / "image.png"
    damaged(path, kind)
    with pytest.raises(FewstepError, match=message) as raised:
        read_square(path, 8)
    assert "\n" not in str(raised.value)


def test_grey_and_cmyk_photographs_become_rgb(tmp_path: Path) -> None:
    for mode, name in (("L", "a.png"), ("CMYK", "b.jpg")):
        Image.new(mode, (20, 10)).save(tmp_path / name)
        assert read_square(tmp_path / name, 8).shape == (3, 8, 8)
