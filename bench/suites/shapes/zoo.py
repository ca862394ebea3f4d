"""The zoo: weights that ship with the package, shared parts stored once, assembled into ordinary pipeline folders.

`manifest.json` lists the sha256 of every file, what made it, each checkpoint's UNet and recipe, and the factor that
scales the latents. Files hold half precision; folders are assembled in the user's cache on first use.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline
from platformdirs import user_cache_path
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTokenizer

from bench.errors import WeightsError
from bench.suites.shapes.generator.networks import (
    MAX_TOKENS,
    make_style_generator,
    make_text_encoders,
    make_unet,
    make_vae,
)
from bench.suites.shapes.generator.tokenizer import write_tokenizer
from bench.suites.shapes.info import ZOO
from methods.distill.lora import save_lora
from methods.gan import FAMILY as GAN_FAMILY
from methods.gan.pipeline import GanPipeline
from methods.interface import Recipe
from methods.pipelines import quiet_libraries
from methods.recipes import recipe_from_json, recipe_to_json, write_recipe
from methods.weights import sha256, write_manifest

SCHEDULER_CONFIG: Mapping[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
}
"""The generator's schedule: SDXL's betas at zero terminal SNR, so that one step from pure noise is well defined."""

CACHE_VARIABLE = "FEWSTEP_CACHE"
PACKED = "zoo"
"""The training target that packs what is trained into the zoo."""

_LAYOUT = 1  # raised when the same weights are assembled in another way, so that no older folder is used


def cache_folder() -> Path:
    """Where assembled pipelines and computed reference features are kept: $FEWSTEP_CACHE or the user's cache."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else user_cache_path("fewstep-bench")


@dataclass(frozen=True)
class Checkpoint:
    """A pipeline that the zoo can assemble: the file of its UNet, how it is sampled, the file of its LoRA if any.

    `pipeline` "gan" is that of a generator, whose file is then `unet`; None is SDXL's.
    """

    unet: str
    recipe: Recipe
    lora: str | None = None
    pipeline: str | None = None


@dataclass(frozen=True)
class LeftOut:
    """Why the zoo has no weights for a checkpoint: it had no room for what `target` trains in `seconds`."""

    target: str
    seconds: float


def training_target(checkpoint: str) -> str:
    """What `bench train` is given to make a checkpoint's weights; progressive distillation makes all of its own."""
    return "pd" if checkpoint.startswith("pd-") else checkpoint


class Zoo:
    """A folder of weights with its manifest.

    Raises:
        WeightsError: where the manifest is missing or damaged.
    """

    def __init__(self, folder: Path = ZOO) -> None:
        self.folder = folder
        try:
            self.manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise WeightsError(
                f"{folder}: no readable manifest.json ({error}); `python -m bench train zoo` writes it"
            ) from error

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Names of the pipelines that can be assembled: "teacher" and the students."""
        return tuple(self.manifest["checkpoints"])

    def hash_of(self, name: str) -> str:
        """sha256 of a file, as the manifest has it."""
        return str(self.manifest["files"][name]["sha256"])

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The tensors of `<name>.safetensors` in float32.

        Raises:
            WeightsError: where the file is missing, truncated or not the one that the manifest names.
        """
        path = self.folder / f"{name}.safetensors"
        try:
            found = sha256(path)
            if found != self.hash_of(name):
                raise WeightsError(
                    f"{path}: sha256 {found}, the manifest has {self.hash_of(name)}; install the package again"
                )
            return {
                key: value.float() if value.is_floating_point() else value for key, value in load_file(path).items()
            }
        except (OSError, SafetensorError) as error:
            raise WeightsError(f"{path}: cannot be read ({error}); install the package again") from error

    def pipeline(self, checkpoint: str) -> Path:
        """The pipeline folder of "teacher" or a student, assembled on first use.

        Raises:
            WeightsError: where the zoo has no such checkpoint, naming the command that trains it.
        """
        if checkpoint not in self.checkpoints:
            raise WeightsError(self._absence(checkpoint))
        digest = sha256(self.folder / "manifest.json")[:12]
        folder = cache_folder() / "zoo" / f"{digest}-{_LAYOUT}" / checkpoint
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            partial = Path(tempfile.mkdtemp(prefix=f"{checkpoint}-", dir=folder.parent))
            self._assemble(checkpoint, partial)
            try:
                partial.rename(folder)
            except OSError:  # another process was faster
                shutil.rmtree(partial)
        return folder

    def _absence(self, checkpoint: str) -> str:
        """Why a checkpoint is not there, and the command and, where it is known, the time that trains it."""
        left_out = self.manifest.get("left_out", {}).get(checkpoint)
        limit = "" if left_out is None else " --no-limit"
        command = f"`python -m bench train {training_target(checkpoint)} {PACKED}{limit}`"
        if left_out is None:
            return f"no weights for {checkpoint!r} in the shapes zoo; {command} makes them"
        minutes = max(1, round(left_out["seconds"] / 60))
        return (
            f"no weights for {checkpoint!r} in the shapes zoo, which had no room for them;"
            f" {command} makes them in about {minutes} minute{'s' if minutes > 1 else ''}"
        )

    def _assemble(self, checkpoint: str, folder: Path) -> None:
        entry = self.manifest["checkpoints"][checkpoint]
        shared = {part: self.tensors(part) for part in ("vae", "text_encoder", "text_encoder_2")}
        recipe, scaling_factor = recipe_from_json(entry["recipe"]), self.manifest["scaling_factor"]
        if entry.get("pipeline") == "gan":
            build_gan(folder, shared, self.tensors(entry["unet"]), scaling_factor=scaling_factor, recipe=recipe)
            return
        lora = self.tensors(entry["lora"]) if entry.get("lora") else None
        build_pipeline(
            folder, shared, self.tensors(entry["unet"]), scaling_factor=scaling_factor, recipe=recipe, lora=lora
        )


def build_pipeline(
    folder: Path,
    shared: Mapping[str, Mapping[str, Tensor]],
    unet_tensors: Mapping[str, Tensor],
    *,
    scaling_factor: float,
    recipe: Recipe,
    lora: dict[str, Tensor] | None = None,
) -> None:
    """Write an ordinary `StableDiffusionXLPipeline` folder, with its recipe, its hashes and a LoRA if any beside it.

    Weights are written in float32, so that stock `from_pretrained(folder)` needs no further argument: left to itself,
    transformers would keep half precision where diffusers would not.
    """
    words, vae, encoders = _shared_parts(folder, shared, scaling_factor)
    unet = _unet_of(unet_tensors)
    with quiet_libraries():
        stock_pipeline(vae, words, encoders, unet).save_pretrained(folder)
    if lora is not None:
        save_lora(folder, lora)
    write_recipe(folder, recipe)
    write_manifest(folder)


def build_gan(
    folder: Path,
    shared: Mapping[str, Mapping[str, Tensor]],
    tensors: Mapping[str, Tensor],
    *,
    scaling_factor: float,
    recipe: Recipe,
) -> None:
    """Write a `GanPipeline` folder, likewise."""
    words, vae, encoders = _shared_parts(folder, shared, scaling_factor)
    generator = make_style_generator()
    generator.load_state_dict(tensors)
    with quiet_libraries():
        GanPipeline(vae, *encoders, words, words, generator).save_pretrained(folder)
    write_recipe(folder, recipe)
    write_manifest(folder, GAN_FAMILY)


def _unet_of(tensors: Mapping[str, Tensor]) -> Any:
    """The UNet of these tensors, whose shapes say how wide it is and whether it takes a guidance scale."""
    projection = tensors.get("time_embedding.cond_proj.weight")
    widths = (len(tensors["conv_in.weight"]), len(tensors["mid_block.resnets.0.conv1.weight"]))
    unet = make_unet(widths, time_cond_proj_dim=None if projection is None else projection.shape[1])
    unet.load_state_dict(tensors)
    return unet


def _shared_parts(
    folder: Path, shared: Mapping[str, Mapping[str, Tensor]], scaling_factor: float
) -> tuple[CLIPTokenizer, Any, tuple[Any, Any]]:
    """Tokenizer, autoencoder and text encoders, which all pipelines have alike."""
    words = write_tokenizer(folder / "tokenizer", MAX_TOKENS)
    vae = make_vae()
    vae.load_state_dict(shared["vae"])
    vae.register_to_config(scaling_factor=scaling_factor)
    encoders = make_text_encoders(len(words), words.bos_token_id, words.eos_token_id)
    for part, encoder in zip(("text_encoder", "text_encoder_2"), encoders, strict=True):
        encoder.load_state_dict(shared[part])
    return words, vae, encoders


def stock_pipeline(vae: Any, words: CLIPTokenizer, encoders: tuple[Any, Any], unet: Any) -> StableDiffusionXLPipeline:
    """diffusers' own SDXL pipeline around the given networks, with the generator's schedule and an Euler sampler."""
    pipe = StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=encoders[0],
        text_encoder_2=encoders[1],
        tokenizer=words,
        tokenizer_2=words,
        unet=unet,
        scheduler=EulerDiscreteScheduler(**SCHEDULER_CONFIG),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def write_zoo(
    folder: Path,
    files: Mapping[str, Mapping[str, Tensor]],
    made: Mapping[str, Mapping[str, Any]],
    checkpoints: Mapping[str, Checkpoint],
    scaling_factor: float,
    left_out: Mapping[str, LeftOut] | None = None,
) -> None:
    """Write every file in half precision and the manifest last.

    Args:
        folder: Made if need be; files of an earlier zoo in it are replaced.
        files: Name -> tensors.
        made: Name -> the note of what made it.
        checkpoints: What can be assembled, by name.
        scaling_factor: Of the latents.
        left_out: Checkpoints that were trained and had no room.
    """
    folder.mkdir(parents=True, exist_ok=True)
    listed: dict[str, Any] = {}
    for name, tensors in files.items():
        path = folder / f"{name}.safetensors"
        half = {key: value.half() if value.is_floating_point() else value for key, value in tensors.items()}
        save_file({key: value.contiguous() for key, value in half.items()}, path)
        listed[name] = {"sha256": sha256(path), "bytes": path.stat().st_size, "made": dict(made.get(name, {}))}
    manifest = {
        "files": listed,
        "checkpoints": {
            name: _without_none({**asdict(checkpoint), "recipe": recipe_to_json(checkpoint.recipe)})
            for name, checkpoint in checkpoints.items()
        },
        "scaling_factor": scaling_factor,
        "left_out": {name: asdict(entry) for name, entry in (left_out or {}).items()},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _without_none(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if value is not None}


@cache
def default_zoo() -> Zoo:
    """The zoo that ships with the package."""
    return Zoo()
