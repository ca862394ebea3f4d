"""Damaged, incomplete and unsafe checkpoints are refused in one line that names the file and the fix."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from methods.errors import WeightsError
from methods.pipelines import load_pipeline
from methods.sdxl import SDXL
from methods.weights import NETWORKS, check_folder, sha256, write_manifest

UNET = "unet/diffusion_pytorch_model.safetensors"
TEXT = "text_encoder/model.safetensors"
CPU = {"device": torch.device("cpu"), "dtype": torch.float32}
Copy = Callable[[], Path]


def _refused(folder: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        load_pipeline(folder, **CPU)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_whole_folder_loads(tiny_pipeline: Path) -> None:
    pipe = load_pipeline(tiny_pipeline, **CPU)
    assert pipe.watermark is None
    assert pipe.vae.config.latent_channels == 8


@pytest.mark.parametrize("name", [UNET, TEXT])
def test_a_truncated_file_is_named_with_its_hash(name: str, copy_of_tiny: Copy) -> None:
    path = copy_of_tiny() / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    message = _refused(path.parents[1])
    assert str(path) in message
    assert sha256(path) in message


def test_one_flipped_bit_is_found_by_the_manifest(copy_of_tiny: Copy) -> None:
    folder = copy_of_tiny()
    write_manifest(folder)
    load_pipeline(folder, **CPU)
    path = folder / UNET
    whole = sha256(path)
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    message = _refused(folder)
    assert str(path) in message
    assert whole in message
    assert sha256(path) in message


def test_a_file_that_only_the_manifest_has_is_reported(copy_of_tiny: Copy) -> None:
    folder = copy_of_tiny()
    write_manifest(folder)
    (folder / UNET).rename(folder / "unet/other.safetensors")
    assert "sha256 missing" in _refused(folder)


@pytest.mark.parametrize("suffix", ["bin", "pt", "ckpt", "pth", "pkl"])
def test_a_pickle_is_refused_by_name_and_never_read(suffix: str, copy_of_tiny: Copy, tmp_path: Path) -> None:
    folder = copy_of_tiny()
    (folder / UNET).unlink()
    path = folder / f"unet/diffusion_pytorch_model.{suffix}"
    path.write_bytes(pickle.dumps(_Explosive(tmp_path / "ran")))
    message = _refused(folder)
    assert str(path) in message
    assert "pickle can run code" in message
    assert "safetensors" in message
    assert not (tmp_path / "ran").exists()
    pickle.loads(path.read_bytes())
    assert (tmp_path / "ran").exists()  # reading it would have run code


class _Explosive:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_a_pickled_file_instead_of_a_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    path.write_bytes(b"")
    assert "pickle can run code" in _refused(path)
    assert "pickle can run code" in _refused(tmp_path)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_without_weights_is_named(network: str, copy_of_tiny: Copy) -> None:
    folder = copy_of_tiny()
    for path in (folder / network).glob("*.safetensors"):
        path.unlink()
    assert str(folder / network) in _refused(folder)


@pytest.mark.parametrize("name", [UNET, TEXT])
def test_a_missing_tensor_is_not_made_up(name: str, copy_of_tiny: Copy) -> None:
    path = copy_of_tiny() / name
    tensors = load_file(path)
    missing = sorted(tensors)[0]
    save_file({key: value for key, value in tensors.items() if key != missing}, path, {"format": "pt"})
    message = _refused(path.parents[1])
    assert f"1 tensors are missing, such as {missing}" in message
    assert str(path.parent) in message


@pytest.mark.parametrize("name", [UNET, TEXT])
def test_a_tensor_of_another_shape_is_refused(name: str, copy_of_tiny: Copy) -> None:
    path = copy_of_tiny() / name
    tensors = load_file(path)
    tensors[sorted(tensors)[0]] = torch.zeros(3, 3)
    save_file(tensors, path, {"format": "pt"})
    assert str(path.parents[1]) in _refused(path.parents[1])


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "nowhere") in _refused(tmp_path / "nowhere")
    assert "model_index.json: missing" in _refused(tmp_path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"_class_name": "FluxPipeline"}, "a FluxPipeline cannot be used"),
        ({"unet": ["my_code", "MyUNet"]}, "code from a checkpoint is never run"),
    ],
)
def test_other_pipelines_and_other_code_are_refused(change: dict[str, object], reason: str, copy_of_tiny: Copy) -> None:
    folder = copy_of_tiny()
    index = json.loads((folder / "model_index.json").read_text())
    check_folder(folder)
    (folder / "model_index.json").write_text(json.dumps(index | change))
    assert reason in _refused(folder)


@pytest.mark.parametrize("name", ["model_index.json", "manifest.json", "unet/config.json"])
def test_damaged_json_is_refused(name: str, copy_of_tiny: Copy) -> None:
    folder = copy_of_tiny()
    (folder / name).write_text("{")
    assert str(folder) in _refused(folder)


def test_an_error_of_the_recipe_names_the_folder(copy_of_tiny: Copy) -> None:
    folder = copy_of_tiny()
    (folder / "recipe.json").write_text('{"scheduler": "EulerDiscreteScheduler", "guidance": "embedded"}')
    with pytest.raises(WeightsError, match="another method's checkpoint") as caught:
        SDXL.load(folder, **CPU)
    assert str(folder) in str(caught.value)
