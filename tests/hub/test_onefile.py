"""A whole pipeline in one file, as sd_xl_turbo_1.0.safetensors is, gives the images of the folder it was made of."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from methods.errors import WeightsError
from methods.hub.onefile import networks_of
from methods.hub.resolve import describe, onto_base, pipeline_folder, resolve
from tests.hub.hub import sha
from tests.hub.original import write_original
from tests.released.layouts import replace_unet, write_base

UNET = "unet/diffusion_pytorch_model.safetensors"
UNET_KEY = "model.diffusion_model."
NETWORKS = {"sdxl": ["text_encoder", "text_encoder_2", "unet", "vae"], "sd15": ["text_encoder", "unet", "vae"]}


@pytest.fixture(scope="module", params=sorted(NETWORKS))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def base(family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(family, tmp_path_factory.mktemp(family) / "base")


@pytest.fixture(scope="module")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base("sd15", tmp_path_factory.mktemp("one") / "sd15")


@pytest.fixture(scope="module")
def tuned(base: Path) -> Path:
    """Another checkpoint of that family."""
    folder = base.with_name("tuned")
    shutil.copytree(base, folder)
    return replace_unet(folder)


def test_its_networks_are_those_of_the_folder(caches: Path, family: str, base: Path, tuned: Path) -> None:
    path = write_original(tuned, tuned.with_suffix(".safetensors"), torch.float32)
    folder = pipeline_folder(resolve(str(path)), lambda: base)
    assert sorted(found.parent.name for found in folder.glob("*/*.safetensors")) == NETWORKS[family]
    for found in folder.glob("*/*.safetensors"):
        ours, due = load_file(found), load_file(tuned / found.relative_to(folder))
        assert ours.keys() == due.keys()
        assert all(torch.equal(ours[name], due[name]) for name in due)
    assert not torch.equal(load_file(folder / UNET)["conv_in.weight"], load_file(base / UNET)["conv_in.weight"])
    assert describe(folder) == f"tuned.safetensors (sha256 {sha(path.read_bytes())[:12]})"


def test_it_is_kept_in_the_type_that_it_is_stored_in_and_made_once(
    caches: Path, base: Path, tuned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_original(tuned, tuned.with_name("half.safetensors"))
    first = networks_of(path, base)
    assert {tensor.dtype for tensor in load_file(first[UNET]).values()} == {torch.float16}
    monkeypatch.setattr("methods.hub.onefile._run_reader", None)
    assert networks_of(path, base) == first
    first[UNET].write_bytes(first[UNET].read_bytes()[:-4] + b"evil")
    with pytest.raises(WeightsError, match="was recorded"):
        networks_of(path, base)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({UNET_KEY + "out.2.weight": None}, r"it holds \d+ tensors of unet, this base has \d+"),
        ({UNET_KEY + "middle_block.9.weight": torch.zeros(1)}, r"it holds \d+ tensors of unet, this base has \d+"),
        ({UNET_KEY + "out.2.bias": torch.zeros(4, dtype=torch.int8)}, "is stored as I8"),
        ({"first_stage_model.encoder.conv_in.weight": torch.zeros(9, 3, 3, 3)}, "conv_in.weight"),
        ({"cond_stage_model.transformer.text_model.final_layer_norm.bias": None}, "a network lacks some"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_and_leaves_nothing(
    caches: Path, sd15: Path, change: dict[str, torch.Tensor | None], says: str, tmp_path: Path
) -> None:
    tensors = load_file(write_original(sd15, tmp_path / "whole.safetensors"))
    changed = {name: tensor for name, tensor in {**tensors, **change}.items() if tensor is not None}
    save_file(changed, tmp_path / "wrong.safetensors")
    with pytest.raises(WeightsError, match=says) as refused:
        onto_base(tmp_path / "wrong.safetensors", sd15)
    assert "\n" not in str(refused.value)
    assert not list((tmp_path / "fewstep").glob("unfolded/*"))
    assert not list((tmp_path / "fewstep").glob("unfolded/.*"))


def test_a_file_of_another_family_is_refused(caches: Path, sd15: Path, tmp_path: Path) -> None:
    path = write_original(sd15, tmp_path / "sd15.safetensors")
    with pytest.raises(WeightsError, match="a whole pipeline in one file, but not one of this base's kind"):
        onto_base(path, write_base("sdxl", tmp_path / "sdxl"))
    with pytest.raises(WeightsError, match="not one of this base's kind"):
        onto_base(path, write_base("sana", tmp_path / "sana"))


def test_a_full_disk_is_said_before_anything_is_written(
    caches: Path, sd15: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = write_original(sd15, tmp_path / "whole.safetensors")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))  # type: ignore[attr-defined]
    with pytest.raises(WeightsError, match=r"take .* but 0\.0 kB are free"):
        onto_base(path, sd15)
