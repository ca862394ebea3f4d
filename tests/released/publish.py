"""The table's rows as the hub holds them: small random networks, under the very names that the rows ask for."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, load_file, save

from methods.checkpoints.table import Checkpoint
from methods.weights import LORA
from tests.hub.hub import FakeHub, folder_files
from tests.released.layouts import write_base
from tests.released.rows import Folders

UNET = "unet/diffusion_pytorch_model.safetensors"
_WITH_SIZES = (".safetensors",)
_OWN_CLASSES = {"lcm": "LatentConsistencyModelPipeline", "instaflow": "RectifiedFlowPipeline"}
DECOYS = {"README.md": b"# a card", "pipeline.py": b"raise SystemExit('code of a checkpoint has run')"}


def publish(hub: FakeHub, rows: Iterable[Checkpoint], folders: Folders, scratch: Path) -> None:
    """Put every file that `rows` and their bases name on the hub, each model at the commits that the rows pin."""
    files: dict[tuple[str, str], dict[str, bytes]] = {}
    for row in rows:
        if row.repo is not None:
            files.setdefault((row.repo, row.revision or commit_of(row.repo)), dict(DECOYS)).update(_files(row, folders))
    pinned = {repo for repo, _ in files}
    for row in rows:
        if row.base is not None and row.base not in pinned:
            files[row.base, commit_of(row.base)] = DECOYS | _base_files(row.family, scratch / row.base)
    for (repo, commit), content in files.items():
        hub.models.setdefault(repo, {})[commit] = content
        hub.branches.setdefault(repo, {})["main"] = commit


def commit_of(repo: str) -> str:
    """The commit of a model that no row pins."""
    return hashlib.sha1(repo.encode()).hexdigest()


def _files(row: Checkpoint, folders: Folders) -> dict[str, bytes]:
    folder = folders.folder(row)
    if row.kind == "pipeline":
        return _pipeline(row, folder_files(folder))
    if row.kind == "lora":
        return {str(row.filename): (folder / LORA).read_bytes()}
    if row.filename is None:  # a network that is a model of its own
        files = {"config.json": (folder / "unet/config.json").read_bytes()}
        return files | {f"diffusion_pytorch_model.{row.variant}.safetensors": _half((folder / UNET).read_bytes())}
    if row.pickle:
        buffer = io.BytesIO()
        torch.save({name: value.half() for name, value in load_file(folder / UNET).items()}, buffer)
        return {row.filename: buffer.getvalue()}
    return {row.filename: _half((folder / UNET).read_bytes())}


def _base_files(family: str, folder: Path) -> dict[str, bytes]:
    return folder_files(write_base(family, folder))


def _pipeline(row: Checkpoint, files: dict[str, bytes]) -> dict[str, bytes]:
    index: dict[str, Any] = json.loads(files["model_index.json"])
    index["_class_name"] = _OWN_CLASSES.get(row.method, index["_class_name"])
    files["model_index.json"] = json.dumps(index).encode()
    if row.variant is not None:
        files = _as_variant(files, row.variant)
    return _sharded(files, "transformer") if row.family in ("flux", "sd35") else files


def _as_variant(files: dict[str, bytes], variant: str) -> dict[str, bytes]:
    """Weights under the variant's name; under the plain one lies what must not be chosen."""
    found = dict(files)
    for name in [name for name in files if name.endswith(_WITH_SIZES)]:
        stem = name.removesuffix(".safetensors")
        found[f"{stem}.{variant}.safetensors"] = _half(files[name]) if variant == "fp16" else files[name]
        found[name] = b"the plain file was chosen" * 8
    return found


def _half(data: bytes) -> bytes:
    return save({name: value.half() for name, value in load(data).items()}, {"format": "pt"})


def _sharded(files: dict[str, bytes], part: str) -> dict[str, bytes]:
    """One network in two files and a list of what is in which."""
    name = f"{part}/diffusion_pytorch_model"
    tensors = load(files[f"{name}.safetensors"])
    names = sorted(tensors)
    halves = (names[::2], names[1::2])
    shards = [f"diffusion_pytorch_model-{number:05d}-of-00002.safetensors" for number in (1, 2)]
    found = {key: data for key, data in files.items() if key != f"{name}.safetensors"}
    for shard, half in zip(shards, halves, strict=True):
        found[f"{part}/{shard}"] = save({key: tensors[key] for key in half}, {"format": "pt"})
    weight_map = {key: shard for shard, half in zip(shards, halves, strict=True) for key in half}
    index = {"metadata": {"total_size": sum(tensor.nbytes for tensor in tensors.values())}, "weight_map": weight_map}
    return {**found, f"{name}.safetensors.index.json": json.dumps(index).encode()}
