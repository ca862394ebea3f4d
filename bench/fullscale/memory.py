"""What memory a full-scale training needs, part by part, from configurations alone: no weights, no GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import (
    AutoConfig,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    Dinov2Config,
    Dinov2Model,
)

from bench.errors import FewstepError
from bench.fullscale import sdxl_base
from bench.fullscale.activations import Activations, activations
from bench.fullscale.request import FullScale
from bench.fullscale.students import ADD_RECIPE, LCM_GUIDANCE_EMBEDDING, LORA_RANK
from methods.add.objective import make_discriminator
from methods.adversarial.features import FrozenFeatures, dinov2_features
from methods.distill.guidance_input import guidance_input_config
from methods.distill.lora import Adapter, add_lora
from methods.pipelines import quiet_libraries

META = torch.device("meta")
_FLOAT = 4
_GIB = 2**30


@dataclass(frozen=True)
class Parts:
    """The networks of a teacher, and the feature network, on the meta device."""

    unet: Any
    vae: Any
    text_encoder: Any
    text_encoder_2: Any
    features: FrozenFeatures


@dataclass(frozen=True)
class Row:
    """Bytes of one part: its weights, and for what learns its gradients, AdamW's two moments and its average."""

    name: str
    parameters: int
    weights: int
    gradients: int = 0
    optimiser: int = 0
    average: int = 0
    counted: bool = True

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.gradients + self.optimiser + self.average


def plan_memory(request: FullScale) -> str:
    """A table in text: every part, the activations, and the sum a process needs.

    Raises:
        FewstepError: where the teacher's or the feature network's configuration is not to be had.
    """
    parts = read_parts(request)
    rows = memory_rows(request, parts)
    found = activation_rows(request, parts)
    micro_batch = request.micro_batch(1)
    lines = [
        f"{request.method} from {request.teacher}, {request.resolution} px, {_dtype_name(request)}, per process;"
        f" {micro_batch} images at a time in one process",
        "",
        f"{'GiB':34}{'parameters':>15}{'weights':>9}{'gradients':>11}{'optimiser':>11}{'EMA':>9}{'sum':>9}",
        *(_line(row) for row in rows),
        "",
        f"{'activations, GiB':34}{'an image':>15}{f'x {micro_batch}':>9}",
        *(
            f"{name:34}{_gib(each.kept):>15}{_gib(each.kept * micro_batch):>9}"
            + (
                f"   and {_gib(each.recomputed * micro_batch)} while a block is computed again"
                if each.recomputed
                else ""
            )
            for name, each in found.items()
        ),
        "",
        f"{'sum':34}{_gib(total(rows, found, micro_batch)):>15}",
        "",
        "Activations: what autograd keeps from the forward to the backward pass, from shapes on the meta device, with",
        "fused attention. Not counted: what kernels use while they run, the discriminator's heads' activations, the",
        "buffer that gradients are averaged in (0.25 GiB with more than one process), and the allocator's own waste.",
        "Text encoders run before the training and are then given back; they are not in the sum.",
    ]
    return "\n".join(lines) + "\n"


def read_parts(request: FullScale) -> Parts:
    """The networks on the meta device: SDXL base 1.0 from facts, others from the configurations of folder or hub.

    Raises:
        FewstepError: where a configuration is not to be had.
    """
    name = request.teacher
    known = name == sdxl_base.HUB_ID and not Path(name).exists()
    try:
        with quiet_libraries(), META:
            unet = sdxl_base.UNET if known else UNet2DConditionModel.load_config(name, subfolder="unet")
            vae = sdxl_base.VAE if known else AutoencoderKL.load_config(name, subfolder="vae")
            texts = [
                CLIPTextConfig(**facts) if known else CLIPTextConfig.from_pretrained(name, subfolder=folder)  # nosec B615
                for folder, facts in (
                    ("text_encoder", sdxl_base.TEXT_ENCODER), ("text_encoder_2", sdxl_base.TEXT_ENCODER_2)
                )
            ]  # fmt: skip
            small = request.features == sdxl_base.DINOV2_SMALL_ID and not Path(request.features).exists()
            dino = Dinov2Config(**sdxl_base.DINOV2_SMALL)
            if not small:
                dino = AutoConfig.from_pretrained(request.features, trust_remote_code=False)  # nosec B615
            return Parts(
                UNet2DConditionModel.from_config(unet), AutoencoderKL.from_config(vae),
                CLIPTextModel(texts[0]), CLIPTextModelWithProjection(texts[1]), dinov2_features(Dinov2Model(dino)),
            )  # fmt: skip
    except (OSError, ValueError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise FewstepError(f"no configuration of {name} or {request.features}: {reason}") from error


def memory_rows(request: FullScale, parts: Parts) -> list[Row]:
    """Weights, gradients, optimiser states and averages of every network that `request` trains or reads."""
    half = 2 if _dtype(request) == torch.bfloat16 else _FLOAT
    student = _student(request, parts)
    rows = _unet_rows(request, parts, student, half)
    rows.append(Row("autoencoder, float32", count(parts.vae), count(parts.vae) * _FLOAT))
    if request.method == "add":
        rows.append(Row("features", count(parts.features), count(parts.features) * _FLOAT))
        rows.append(_trained("discriminator", make_discriminator(parts.unet.config, parts.features, ADD_RECIPE)))
    for name, encoder in (("text encoder", parts.text_encoder), ("text encoder 2", parts.text_encoder_2)):
        rows.append(Row(f"({name}, before training)", count(encoder), count(encoder) * _FLOAT, counted=False))
    return rows


def activation_rows(request: FullScale, parts: Parts) -> dict[str, Activations]:
    """What each pass that is differentiated keeps for one image."""
    checkpointed = request.gradient_checkpointing
    with quiet_libraries():
        student = _student(request, parts).to(_dtype(request)).train()
    found = {"student": activations(student, lambda: _forward(student, request, parts), checkpointed=checkpointed)}
    if request.method == "add":
        decoder, side = parts.vae.train(), request.resolution // _factor(parts)
        latents = torch.zeros(1, decoder.config.latent_channels, side, side, device=META, requires_grad=True)
        found["decoder"] = activations(decoder, lambda: decoder.decode(latents), checkpointed=checkpointed)
        pixels = torch.zeros(1, 3, request.resolution, request.resolution, device=META, requires_grad=True)
        features = parts.features.to(_dtype(request)).requires_grad_(False)
        found["features"] = activations(features, lambda: features(pixels), checkpointed=False)
    return found


def total(rows: Sequence[Row], found: dict[str, Activations], micro_batch: int) -> int:
    """Bytes of all that is there at once, at the fullest moment of the backward pass."""
    kept = sum(each.kept for each in found.values())
    return sum(row.total for row in rows if row.counted) + micro_batch * (
        kept + max(each.recomputed for each in found.values())
    )


def count(network: nn.Module) -> int:
    """Parameters of a network."""
    return sum(parameter.numel() for parameter in network.parameters())


def _forward(unet: Any, request: FullScale, parts: Parts) -> None:
    config, side = unet.config, request.resolution // _factor(parts)
    tokens = int(parts.text_encoder.config.max_position_embeddings)
    pooled = int(config.projection_class_embeddings_input_dim) - 6 * int(config.addition_time_embed_dim)
    embedded = config.time_cond_proj_dim
    with META:
        unet(
            torch.zeros(1, config.in_channels, side, side),
            torch.zeros(1, dtype=torch.int64),
            encoder_hidden_states=torch.zeros(1, tokens, config.cross_attention_dim),
            timestep_cond=None if embedded is None else torch.zeros(1, embedded),
            added_cond_kwargs={"text_embeds": torch.zeros(1, pooled), "time_ids": torch.zeros(1, 6)},
        )


def _student(request: FullScale, parts: Parts) -> Any:
    """The student on the meta device; LCM-LoRA's is a UNet with its adapter."""
    config = parts.unet.config
    if request.method == "lcm":
        config = guidance_input_config(config, LCM_GUIDANCE_EMBEDDING)
    with META, quiet_libraries():
        student = UNet2DConditionModel.from_config(config)
        if request.method == "lcm-lora":
            add_lora(student, LORA_RANK)
    return student


def _unet_rows(request: FullScale, parts: Parts, student: Any, half: int) -> list[Row]:
    """The student, its teacher, and its target where it has one; `half` is the size of a frozen number."""
    base = count(parts.unet)
    if request.method == "lcm-lora":
        adapter = Adapter(student)
        return [
            Row(f"teacher and base, {_dtype_name(request)}", base, base * half),
            _trained("adapter", adapter),
            Row("target (base, average adapter)", base + count(adapter), base * half + count(adapter) * _FLOAT),
        ]
    rows = [_trained("student", student)]
    if half < _FLOAT:
        rows.append(Row("its weights as autocast casts them", 0, count(student) * half))
    rows.append(Row(f"teacher, {_dtype_name(request)}", base, base * half))
    if request.method == "lcm":
        rows.append(Row("target (average of the student)", count(student), count(student) * _FLOAT))
    return rows


def _trained(name: str, network: nn.Module) -> Row:
    size = count(network)
    return Row(name, size, size * _FLOAT, size * _FLOAT, 2 * size * _FLOAT, size * _FLOAT)


def _factor(parts: Parts) -> int:
    """Pixels a latent."""
    return int(2 ** (len(parts.vae.config.block_out_channels) - 1))


def _dtype(request: FullScale) -> torch.dtype:
    return torch.float32 if request.dtype == "float32" else torch.bfloat16


def _dtype_name(request: FullScale) -> str:
    return str(_dtype(request)).removeprefix("torch.")


def _line(row: Row) -> str:
    cells = [_gib(each) for each in (row.weights, row.gradients, row.optimiser, row.average, row.total)]
    number = f"{row.parameters:,}" if row.parameters else ""
    return f"{row.name:34}{number:>15}{cells[0]:>9}{cells[1]:>11}{cells[2]:>11}{cells[3]:>9}{cells[4]:>9}"


def _gib(size: int) -> str:
    return f"{size / _GIB:.2f}" if size else ""
