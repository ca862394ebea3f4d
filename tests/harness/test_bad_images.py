"""Images and references that cannot be judged: one clear line each, the cell failed, the others go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from bench.errors import FewstepError
from bench.record import Record, read_records
from bench.reference_set import ReferenceSet, read_reference, write_reference
from methods.errors import FewstepError as MethodError
from methods.sampling import to_uint8
from tests.harness import fakes
from tests.harness.fakes import Control
from tests.harness.test_parts import CELL
from tests.metrics.tiny import RandomExtractor, shapes

Bench = Callable[..., int]
OPTIONS = ("--methods", "add,lcm", "--steps", "1")


def spoil(path: Path, kind: str) -> None:
    """Damage a stored image in a way that its end mark does not show."""
    end = b"\x00\x00\x00\x00IEND\xaeB`\x82"
    if kind == "corrupt":
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 100 + end)
    elif kind == "cut in the middle":
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2] + end)
    elif kind == "a JPEG":
        Image.new("RGB", (4, 4)).save(path, format="jpeg")
        path.write_bytes(path.read_bytes() + end)
    elif kind == "wrong size":
        Image.new("RGB", (5, 7)).save(path)
    elif kind == "16 bits":
        Image.fromarray(np.zeros((4, 4), dtype=np.uint16)).save(path)
    else:
        Image.new(kind, (4, 4)).save(path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("corrupt", "cannot be read as an image: it is damaged or cut short; delete it and run the same command again"),
        ("cut in the middle", "cannot be read as an image: it is damaged or cut short"),
        ("a JPEG", "cannot be read as an image: it is damaged or cut short"),  # it is not what was stored
        ("wrong size", "00003.png is 5 x 7 pixels and 00000.png 4 x 4; delete the wrong one"),
        ("L", "is grey, not 8-bit RGB as it was stored"),
        ("RGBA", "is RGB with alpha, not 8-bit RGB"),
        ("16 bits", "is 16-bit grey, not 8-bit RGB"),
    ],
)
def test_a_spoilt_image_fails_its_cell_and_the_other_goes_on(
    toy: Control, bench: Bench, out: Path, kind: str, message: str
) -> None:
    assert bench(*OPTIONS) == 0
    before = {record.cell.method: record for record in read_records(out / "records")}
    (out / "records" / f"{before['add'].cell.name}.json").unlink()  # so that it is judged again
    spoil(out / "images" / before["add"].cell.name / "00003.png", kind)
    assert bench(*OPTIONS) == 1
    after = {record.cell.method: record for record in read_records(out / "records")}
    assert after["add"].status == "failed"
    assert message in str(after["add"].reason)
    assert "\n" not in str(after["add"].reason)
    assert after["lcm"] == before["lcm"]
    (out / "images" / before["add"].cell.name / "00003.png").unlink()
    assert bench(*OPTIONS) == 0  # the advice works


def test_an_empty_file_is_sampled_again(toy: Control, bench: Bench, out: Path) -> None:
    assert bench(*OPTIONS) == 0
    (record, _) = read_records(out / "records")
    (out / "records" / f"{record.cell.name}.json").unlink()
    (out / "images" / record.cell.name / "00003.png").write_bytes(b"")
    assert bench(*OPTIONS) == 0
    assert Image.open(out / "images" / record.cell.name / "00003.png").size == (4, 4)


def only(out: Path) -> Record:
    (record,) = read_records(out / "records")
    return record


def test_black_images_of_half_precision_are_named(
    toy: Control, bench: Bench, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def black(self: fakes.FakeMethod, request: fakes.SampleRequest) -> Tensor:
        images = torch.full((len(request.prompts), 3, 4, 4), 9, dtype=torch.uint8)
        images[-1] = 0
        return images

    monkeypatch.setattr(fakes.FakeADD, "sample", black)
    one = ("--methods", "add", "--steps", "1")
    assert bench(*one, "--dtype", "float16") == 1
    assert str(only(out).reason).startswith(
        "the image of prompt 00004 is all black: the VAE's decoder overflows in floa"
    )
    assert "--dtype float32" in str(only(out).reason)
    assert bench(*one) == 0  # a black image of float32 may be meant


def test_nan_from_a_decoder_is_named() -> None:
    images = torch.zeros(2, 3, 4, 4, dtype=torch.float16)
    images[1, 0, 0, 0] = float("nan")
    with pytest.raises(
        MethodError, match=r"not finite \(NaN\): the VAE's decoder overflows in half precision; use --dt"
    ):
        to_uint8(images)


def test_too_few_images_are_refused_with_the_number(
    toy: Control, bench: Bench, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench("--methods", "add", "--steps", "1", "--metrics", "brightness,hungry") == 0
    assert "hungry is left out: needs at least 100 images" in capsys.readouterr().out
    capsys.readouterr()
    assert bench("--methods", "lcm", "--steps", "1", "--metrics", "hungry") == 2  # nothing would be left
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: nothing that was asked for can be measured: hungry needs at least 100 images, and ")
    assert CELL.images_per_prompt == 1


def test_a_reference_of_another_protocol_is_refused_by_field(tmp_path: Path) -> None:
    made = {"extractor": "a", "resize": "clean", "reference": "5 images"}
    path = tmp_path / "reference.safetensors"
    write_reference(path, torch.ones(5, 3), made)
    known = read_reference(path, made)
    assert known is not None
    assert torch.equal(known, torch.ones(5, 3))
    with pytest.raises(FewstepError, match=r"reference of another protocol: resize is 'clean' there and 'torch' here"):
        read_reference(path, {**made, "resize": "torch"})
    path.write_bytes(b"x")
    assert read_reference(path, made) is None


def test_reference_features_are_computed_once_and_kept(
    toy: Control, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fakes.ToySuite, "reference_images", lambda self: iter([shapes(6), shapes(4, start=6)]))
    extractor = RandomExtractor()
    first = ReferenceSet(fakes.ToySuite(), tmp_path)
    assert first.features(extractor).shape == (10, 24)
    assert first.features(extractor) is first.features(extractor)
    assert sum(extractor.batches) == 10
    again = ReferenceSet(fakes.ToySuite(), tmp_path).features(extractor)
    assert torch.equal(again, first.features(extractor))
    assert sum(extractor.batches) == 10
    ReferenceSet(fakes.ToySuite(), tmp_path).features(RandomExtractor(weights_hash="other", batches=extractor.batches))
    assert sum(extractor.batches) == 20
