"""The teacher and the feature network: folders as they are, or names on the hub, loaded by stock from_pretrained."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline
from transformers import AutoConfig, Dinov2Model

from bench.errors import FewstepError, WeightsError
from methods.adversarial.features import FrozenFeatures, dinov2_features
from methods.pipelines import load_pipeline, quiet_libraries
from methods.weights import sha256


def teacher_folder(teacher: str) -> Path:
    """The pipeline folder that `teacher` names; one on the hub is downloaded, safetensors only.

    Raises:
        FewstepError: where it is neither a folder nor to be had from the hub.
    """
    folder = Path(teacher)
    if folder.exists() or teacher.count("/") != 1 or teacher.startswith((".", "~")):
        return folder
    try:
        return Path(StableDiffusionXLPipeline.download(teacher, use_safetensors=True))
    except (OSError, ValueError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise FewstepError(f"--teacher {teacher}: no such folder, and not to be had from the hub: {reason}") from error


def load_teacher(folder: Path) -> Any:
    """The teacher's stock pipeline, frozen, in float32 on the CPU.

    Raises:
        WeightsError: where it cannot be read, or has no latents of the kind that the objectives know.
    """
    pipe = load_pipeline(folder, device=torch.device("cpu"), dtype=torch.float32)
    if getattr(pipe.vae.config, "latents_mean", None) is not None:
        raise WeightsError(f"{folder}: its autoencoder shifts latents by latents_mean, which no objective here undoes")
    if pipe.unet.config.time_cond_proj_dim is not None:
        raise WeightsError(f"{folder}: takes an embedded guidance scale, so it is a student; give an undistilled SDXL")
    return pipe


def part_hash(folder: Path, *parts: str) -> str:
    """sha256 over the files of parts of a pipeline folder, names and contents."""
    digest = hashlib.sha256()
    for part in parts:
        for path in sorted((folder / part).rglob("*")):
            if path.is_file() and path.suffix in {".json", ".txt", ".safetensors"}:
                digest.update(f"{path.relative_to(folder).as_posix()} {sha256(path)}\n".encode())
    return digest.hexdigest()


def load_features(name: str) -> FrozenFeatures:
    """DINOv2 from a folder or the hub, as ADD's discriminator reads it.

    Raises:
        FewstepError: where it cannot be had, or is another network.
    """
    try:
        with quiet_libraries():
            config = AutoConfig.from_pretrained(name, trust_remote_code=False)  # nosec B615
            if config.model_type != "dinov2":
                raise FewstepError(f"--features {name}: a {config.model_type}; a dinov2 is needed")
            network = Dinov2Model.from_pretrained(name, use_safetensors=True)  # nosec B615
            return dinov2_features(network)
    except (OSError, ValueError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise FewstepError(f"--features {name}: cannot be loaded: {reason}") from error
