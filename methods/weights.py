"""Is a pipeline folder whole and safe to read? Only safetensors and JSON are; a pickle can run code when it is read.

A `manifest.json` beside `model_index.json`, where there is one, holds the sha256 of every file of weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from methods.checkpoints.families import FAMILIES, Family
from methods.errors import WeightsError
from methods.hub import fit
from methods.hub.hashes import sha256_of
from methods.hub.headers import read_header
from methods.hub.resolve import DENOISERS
from methods.hub.select import LEFT_OUT, check_config, check_shards
from methods.jsonfile import read_json

MANIFEST = "manifest.json"
MODEL_INDEX = "model_index.json"
PICKLES = (".bin", ".ckpt", ".pkl", ".pickle", ".pt", ".pth")
SDXL = FAMILIES["sdxl"]
NETWORKS = SDXL.networks
LORA = "pytorch_lora_weights.safetensors"
"""diffusers' name of a LoRA, here beside the parts of the pipeline that it was trained on."""
NOT_LOADED = LEFT_OUT
"""Components of stock pipelines that are left out: a safety checker would replace images by black ones."""


def check_folder(folder: Path, family: Family = SDXL) -> None:
    """Check that `folder` is a pipeline of `family` whose every network is there, whole, and in safetensors.

    Raises:
        WeightsError: naming the file that is missing, damaged or unsafe, and what to do.
    """
    if folder.suffix in PICKLES:
        raise _unsafe(folder)
    if not folder.is_dir():
        raise WeightsError(f"{folder}: not a folder; a checkpoint is a folder with a {MODEL_INDEX}")
    _check_index(folder, family)
    _check_manifest(folder)
    _check_small_files(folder)
    for network in family.networks:
        for path in weight_files(folder / network):
            fit.check_dtypes(read_header(path), str(path))


def check_lora(folder: Path) -> None:
    """Check that a whole LoRA lies in `folder`, beside the parts of the pipeline that it is added to.

    Raises:
        WeightsError: where it is missing or damaged.
    """
    path = folder / LORA
    if folder.is_dir() and not path.exists():
        raise WeightsError(f"{path}: missing; put the LoRA's file there, beside the parts of its base pipeline")
    if path.exists():
        fit.check_dtypes(read_header(path), str(path))


def check_lora_fits(folder: Path) -> None:
    """Check that the LoRA in `folder` belongs to the denoiser beside it: its layers, their sizes, its rank.

    Raises:
        WeightsError: naming the layer that does not fit.
    """
    check_lora(folder)
    part = next((name for name in DENOISERS if (folder / name).is_dir()), NETWORKS[0])
    base = {name: tensor for path in weight_files(folder / part) for name, tensor in read_header(path).items()}
    fit.check_lora(read_header(folder / LORA), base, str(folder / LORA))


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of one network.

    Raises:
        WeightsError: where there is none, or a pickle in its place.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        for path in sorted(folder.glob("*")):
            if path.suffix in PICKLES:
                raise _unsafe(path)
        raise WeightsError(f"{folder}: no *.safetensors file; the checkpoint is not complete")
    return files


def stored_names(folder: Path) -> set[str]:
    """The names of all tensors that one network has on disk."""
    names: set[str] = set()
    for path in weight_files(folder):
        names.update(read_header(path))
    return names


def write_manifest(folder: Path, family: Family = SDXL) -> Path:
    """Write the sha256 of every file of weights in `folder` into its manifest."""
    hashes = {path.relative_to(folder).as_posix(): sha256(path) for path in _all_weight_files(folder, family)}
    partial = folder / (MANIFEST + ".partial")
    partial.write_text(json.dumps({"sha256": hashes}, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return partial.replace(folder / MANIFEST)


def sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    return sha256_of(path)


def _all_weight_files(folder: Path, family: Family) -> Iterator[Path]:
    for network in family.networks:
        yield from weight_files(folder / network)
    if (folder / LORA).exists():
        yield folder / LORA


def _check_index(folder: Path, family: Family) -> None:
    path = folder / MODEL_INDEX
    if not path.exists():
        pickles = [child for child in sorted(folder.iterdir()) if child.suffix in PICKLES]
        raise _unsafe(pickles[0]) if pickles else WeightsError(f"{path}: missing; not a diffusers pipeline folder")
    index = _read_object(path)
    if index.get("_class_name") not in family.accepts:
        raise WeightsError(f"{path}: a {index.get('_class_name')} cannot be used; a {family.pipeline} is needed")
    for name, value in index.items():
        if name in NOT_LOADED:
            continue
        if isinstance(value, list) and value[:1] != [None] and value[:1] and value[0] not in family.libraries:
            raise WeightsError(f"{path}: {name} comes from {value[0]!r}; code from a checkpoint is never run")


def _check_manifest(folder: Path) -> None:
    path = folder / MANIFEST
    if not path.exists():
        return
    hashes = _read_object(path).get("sha256")
    if not isinstance(hashes, Mapping):
        raise WeightsError(f"{path}: no object 'sha256' in it; write the manifest again")
    for name, expected in hashes.items():
        file = folder / name
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise WeightsError(f"{path}: {name[:60]!r} is not inside the folder; write the manifest again")
        found = sha256(file) if file.is_file() else "missing"
        if found != expected:
            raise WeightsError(f"{file}: damaged: sha256 {found}, the manifest says {expected}; get or train it again")


def _check_small_files(folder: Path) -> None:
    """No configuration asks for code, and no list of shards names anything but safetensors beside it."""
    for path in sorted(folder.glob("*/*.json")):
        if path.name.endswith("config.json"):
            check_config(_read_object(path), str(path))
        elif ".safetensors.index" in path.name:
            check_shards(_read_object(path), {file.name for file in path.parent.iterdir()}, str(path))


def _read_object(path: Path) -> dict[str, Any]:
    try:
        data = read_json(path)
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(data, dict):
        raise WeightsError(f"{path}: expected a JSON object")
    return data


def _unsafe(path: Path) -> WeightsError:
    return WeightsError(f"{path}: a pickle can run code when it is read; convert it to safetensors")
