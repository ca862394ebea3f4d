"""Shipped configurations against published parameter counts, and pipelines of random weights that sample."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from bench import architectures
from bench.architectures import build
from bench.architectures.build import build_pipeline, empty_networks
from bench.errors import FewstepError, UsageError
from methods.add import ADD
from methods.interface import SampleRequest
from methods.lcm import LCM
from methods.sdxl import SDXLEuler
from tests.latency import tiny

PUBLISHED = {
    "sd15": {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": 123_060_480},
    "sd21": {"unet": 865_910_724, "vae": 83_653_863, "text_encoder": 340_387_840},
    "sdxl": {
        "unet": 2_567_463_684, "vae": 83_653_863, "text_encoder": 123_060_480, "text_encoder_2": 694_659_840,
    },
}  # fmt: skip
"""Parameters of the released networks, as their users print them."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_shipped_configurations_are_those_of_the_released_networks(name: str) -> None:
    networks = empty_networks(architectures.load(name))
    counts = {part: sum(p.numel() for p in network.parameters()) for part, network in networks.items()}
    assert counts == PUBLISHED[name]
    assert all(p.is_meta for network in networks.values() for p in network.parameters())  # no memory was used


def test_image_sizes_are_the_released_ones() -> None:
    assert {name: architectures.load(name).image_size for name in architectures.names()} == {
        "sd15": 512, "sd21": 768, "sdxl": 1024,
    }  # fmt: skip


def tiny_architecture(tmp_path: Path, parts: dict[str, object]) -> architectures.Architecture:
    return architectures.load(str(tiny.write(tmp_path, parts)))


@pytest.mark.parametrize("parts", [tiny.SD, tiny.SDXL], ids=["sd", "sdxl"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_random_weights_sample_finite_images(tmp_path: Path, parts: dict[str, object], dtype: torch.dtype) -> None:
    pipe = build_pipeline(tiny_architecture(tmp_path, parts), device=torch.device("cpu"), dtype=dtype)
    assert {p.dtype for p in pipe.unet.parameters()} == {dtype}
    method = SDXLEuler(pipe, SDXLEuler.default_recipe)
    images = method.sample(SampleRequest(("a boat", "a house"), (0, 1), 2, height=32, width=64))
    assert images.shape == (2, 3, 32, 64)
    assert len(images.unique()) > 50  # neither black nor one colour: the networks say something
    assert not torch.equal(images[0], images[1])


@torch.no_grad()
def test_recipes_find_what_they_need(tmp_path: Path) -> None:
    architecture, cpu = tiny_architecture(tmp_path, tiny.SDXL), torch.device("cpu")
    embedded = build_pipeline(architecture, device=cpu, dtype=torch.float32, embedded_guidance=True)
    assert embedded.unet.config.time_cond_proj_dim == build.GUIDANCE_WIDTH
    for method in (
        LCM(embedded, LCM.default_recipe),
        ADD(build_pipeline(architecture, device=cpu, dtype=torch.float32), ADD.default_recipe),
    ):
        assert method.sample(SampleRequest(("a boat",), (0,), 1)).shape == (1, 3, 64, 64)


def test_weights_are_random_scaled_and_the_same_every_time(tmp_path: Path) -> None:
    architecture = tiny_architecture(tmp_path, tiny.SD)
    one, two = (build_pipeline(architecture, device=torch.device("cpu"), dtype=torch.float32) for _ in range(2))
    weight = one.unet.conv_in.weight
    assert torch.equal(weight, two.unet.conv_in.weight)
    assert weight.std().item() == pytest.approx(1 / 6, rel=0.2)  # fan-in 4 x 3 x 3; 576 draws: 3 % standard error
    norm = next(module for module in one.unet.modules() if isinstance(module, torch.nn.GroupNorm))
    assert bool((norm.weight == 1).all())
    assert bool((norm.bias == 0).all())


def test_a_block_longer_than_a_matrix_is_cut_and_a_shorter_one_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    block, layer = torch.arange(1.0, 8.0), torch.nn.Linear(4, 5)
    filled = build._random("weight", layer, layer.weight, block).view(-1)
    assert torch.equal(filled, (block / 2).repeat(3)[:20])
    small = torch.nn.Linear(2, 2)
    assert torch.allclose(build._random("weight", small, small.weight, block).view(-1), block[:4] / 2**0.5)


def test_what_does_not_fit_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_free_bytes", lambda _device: 1_000)
    with pytest.raises(FewstepError, match=r"tiny in float32 has 0\.0 GiB of weights .* use --dtype bfloat16"):
        build_pipeline(tiny_architecture(tmp_path, tiny.SD), device=torch.device("cpu"), dtype=torch.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pipeline": "NoSuchPipeline"}, "diffusers does not take it"),
        ({"unet": tiny.UNET | {"norm_num_groups": 7}}, "diffusers does not take it"),
        ({"text_encoder": {"architecture": "T5"}}, "diffusers does not take it"),
    ],
)
def test_a_configuration_that_is_wrong_is_one_line(tmp_path: Path, change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_pipeline(tiny_architecture(tmp_path, tiny.SD | change), device=torch.device("cpu"), dtype=torch.float32)


def test_names_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'sdxl'"):
        architectures.load("sdx")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(UsageError, match="cannot be read as JSON"):
        architectures.load(str(tmp_path / "broken.json"))
    (tmp_path / "part.json").write_text(json.dumps({"unet": {}}))
    with pytest.raises(UsageError, match="'vae' is missing"):
        architectures.load(str(tmp_path / "part.json"))


def test_the_hash_is_of_the_content(tmp_path: Path) -> None:
    one = tiny_architecture(tmp_path, tiny.SD)
    (tmp_path / "other.json").write_text(json.dumps(tiny.SD, indent=3, sort_keys=True))
    assert architectures.load(str(tmp_path / "other.json")).sha256 == one.sha256
    changed = tiny.SD | {"max_tokens": 15}
    assert architectures.load(str(tiny.write(tmp_path, changed, "changed"))).sha256 != one.sha256
