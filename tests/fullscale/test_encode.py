"""Latents and text are what the stock pipeline gives, are computed once, and again where something changed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.fullscale.data import Sample, read_samples
from bench.fullscale.encode import Encodings, encode_missing
from bench.fullscale.pictures import square, to_unit_range
from bench.fullscale.teacher import load_teacher, part_hash
from methods.distill.draws import Share
from tests.fullscale.make import CAPTIONS, picture, write_folder

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pipe(tiny_pipeline: Path) -> Any:
    return load_teacher(tiny_pipeline)


def encode(folder: Path, samples: list[Sample], pipe: Any, vae: str = "vae", text: str = "text") -> list[str]:
    """What had to be encoded."""
    said: list[str] = []
    cache = Encodings(folder, vae=vae, text=text, resolution=32, share=Share())
    encode_missing(cache, samples, pipe, CPU, said.append)
    return said


def test_entries_are_what_the_stock_pipeline_encodes(tmp_path: Path, pipe: Any) -> None:
    samples = read_samples(write_folder(tmp_path / "data"))
    encode(tmp_path / "cache", samples, pipe)
    cache = Encodings(tmp_path / "cache", vae="vae", text="text", resolution=32, share=Share())
    for sample in samples:
        found = cache.of(sample)
        pixels = to_unit_range(square(sample, sample.read(), 32)[0])[None]
        assert torch.equal(found.latents, pipe.vae.encode(pixels).latent_dist.mean[0] * pipe.vae.config.scaling_factor)
        embeds, _, pooled, _ = pipe.encode_prompt([sample.caption], do_classifier_free_guidance=False)
        # half precision keeps 11 bits; another batch size moves the last float32 bits
        assert torch.allclose(found.embeds, embeds[0], rtol=2**-10, atol=1e-5)
        assert torch.allclose(found.pooled, pooled[0], rtol=2**-10, atol=1e-5)
    assert not torch.equal(cache.of(samples[0]).embeds, cache.of(samples[1]).embeds)


def test_nothing_is_encoded_twice(tmp_path: Path, pipe: Any) -> None:
    samples = read_samples(write_folder(tmp_path / "data"))
    assert encode(tmp_path / "cache", samples, pipe)[-2:] == ["latents 6/6", "captions 6/6"]
    assert encode(tmp_path / "cache", samples, pipe) == []


def test_a_changed_image_or_caption_is_encoded_again_and_alone(tmp_path: Path, pipe: Any) -> None:
    samples = read_samples(write_folder(tmp_path / "data"))
    encode(tmp_path / "cache", samples, pipe)
    path = samples[0].file
    path.write_bytes(picture(1))  # inner/image1 has this content already
    assert encode(tmp_path / "cache", samples, pipe) == []
    changed = bytearray(picture(2, ".jpg"))
    path.write_bytes(changed)
    assert encode(tmp_path / "cache", samples, pipe) == ["latents 1/1"]
    path.with_suffix(".txt").write_text("a red moon", encoding="utf-8")
    assert encode(tmp_path / "cache", read_samples(tmp_path / "data"), pipe) == ["captions 1/1"]


def test_a_file_of_equal_size_written_later_is_read_again(tmp_path: Path, pipe: Any) -> None:
    samples = read_samples(write_folder(tmp_path / "data", 1))
    encode(tmp_path / "cache", samples, pipe)
    cache = Encodings(tmp_path / "cache", vae="vae", text="text", resolution=32, share=Share())
    before, content = cache.digests.of(samples[0]), bytearray(samples[0].read())
    content[-1] ^= 1
    samples[0].file.write_bytes(content)
    os.utime(samples[0].file, ns=(1, 1))
    assert cache.digests.of(samples[0]) != before


def test_other_weights_encode_everything_again(tmp_path: Path, pipe: Any, tiny_pipeline: Path) -> None:
    samples = read_samples(write_folder(tmp_path / "data", 2))
    encode(tmp_path / "cache", samples, pipe)
    assert encode(tmp_path / "cache", samples, pipe, vae="other") == ["latents 1/2", "latents 2/2"]
    assert encode(tmp_path / "cache", samples, pipe, text="other") == ["captions 2/2"]
    assert part_hash(tiny_pipeline, "vae") != part_hash(tiny_pipeline, "unet")


def test_processes_share_the_encoding(tmp_path: Path, pipe: Any) -> None:
    samples = read_samples(write_folder(tmp_path / "data"))
    parts = [
        Encodings(tmp_path / "cache", vae="vae", text="text", resolution=32, share=Share(rank, 2)).missing(samples)[0]
        for rank in range(2)
    ]
    assert [len(part) for part in parts] == [3, 3]
    assert {sample.caption for part in parts for sample in part} == set(CAPTIONS)
