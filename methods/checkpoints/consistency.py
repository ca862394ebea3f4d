"""Consistency distillation: LCM, LCM-LoRA, TCD, PCM, and Hyper-SD, which adds trajectory segments and feedback."""

from __future__ import annotations

from dataclasses import replace

from methods.checkpoints.shared import (
    MB,
    MIRROR,
    NO_GUIDANCE_AT_ALL,
    OPENRAIL_PP,
    SD15_BASE,
    SD21_BASE_512,
    SDXL_BASE,
    TRAILING,
)
from methods.checkpoints.table import Checkpoint
from methods.interface import Recipe

_BASES = {"sdxl": SDXL_BASE, "sd15": SD15_BASE, "sd21": SD21_BASE_512}
_SIZES = {"sdxl": 1024, "sd15": 512, "sd21": 512}


def _sized(recipe: Recipe, family: str) -> Recipe:
    """The recipe at the family's size; SDXL's decoder overflows in half precision."""
    size = _SIZES[family]
    return replace(recipe, height=size, width=size, vae_dtype="float32" if family == "sdxl" else None)


# ---- LCM -------------------------------------------------------------------------------------------------------------
_GRID = {"original_inference_steps": 50, "prediction_type": "epsilon"}
_LCM = Recipe("LCMScheduler", _GRID, "embedded", 8.0, allowed_steps=(1, 8), guidance_range=(3.0, 16.0))

LCM_SDXL = Checkpoint(
    method="lcm",
    family="sdxl",
    kind="unet",
    repo="latent-consistency/lcm-sdxl",
    revision="843cb4058e2bb79edc70a6d8002e1a96feddfd14",
    variant="fp16",
    base=SDXL_BASE,
    recipe=_sized(_LCM, "sdxl"),
    steps=(4, 8, 2, 1),
    title="LCM",
    paper="Latent Consistency Models: Synthesizing High-Resolution Images with Few-Step Inference",
    arxiv="2310.04378",
    licence=OPENRAIL_PP,
    size_bytes=5140 * MB,
    source="model card; file list at 843cb40; diffusers' training script for the range of w, 3 to 15",
    note="The scale is embedded: the network is given w = guidance_scale - 1, which it was distilled with at 3 to 15.",
    unverified=("guidance_range: the script's defaults, not said to be those of this checkpoint",),
)
LCM_SD15 = replace(
    LCM_SDXL,
    family="sd15",
    kind="pipeline",
    repo="SimianLuo/LCM_Dreamshaper_v7",
    revision="a85df6a8bd976cdd08b4fd8f3b73f229c9e54df5",
    variant=None,
    base=None,
    size_bytes=None,
    recipe=replace(_LCM, height=768, width=768, guidance_range=(3.0, 15.0)),
    title="LCM (Dreamshaper v7)",
    licence="MIT",
    dtype="float32",
    source="model card; arXiv 2310.04378 for w in [2, 14]",
    note="Distilled from Dreamshaper v7, not from SD 1.5 itself. Its index names LatentConsistencyModelPipeline.",
    unverified=("height and width: the pipeline's own default is its UNet's sample size",),
)

# ---- LCM-LoRA --------------------------------------------------------------------------------------------------------
_LCM_LORA = Recipe(
    "LCMScheduler", _GRID, "classifier-free", 1.0, allowed_steps=(1, 8), guidance_range=(1.0, 2.0), lora_scale=1.0
)


def _lcm_lora(family: str, repo: str, size: int, revision: str, unverified: tuple[str, ...]) -> Checkpoint:
    return Checkpoint(
        method="lcm-lora",
        family=family,
        kind="lora",
        repo=repo,
        revision=revision,
        filename="pytorch_lora_weights.safetensors",
        base=_BASES[family],
        recipe=_sized(_LCM_LORA, family),
        steps=(4, 8, 2),
        title="LCM-LoRA",
        paper="LCM-LoRA: A Universal Stable-Diffusion Acceleration Module",
        arxiv="2311.05556",
        licence=OPENRAIL_PP,
        size_bytes=size * MB,
        source="model card: 2 to 8 steps, guidance off or 1.0 to 2.0",
        note="One step is allowed, so that papers that measure it can be met; the card begins at two.",
        unverified=unverified,
    )


LCM_LORA = (
    _lcm_lora("sdxl", "latent-consistency/lcm-lora-sdxl", 394, "e4f4bc876032ad70aa9d241af2a2f33db0f3f048", ()),
    _lcm_lora("sd15", "latent-consistency/lcm-lora-sdv1-5", 135, "cf2fced511dbe7e26c8d1d397e728fbab875db4b", ()),
)

# ---- TCD -------------------------------------------------------------------------------------------------------------
_TCD = Recipe(
    "TCDScheduler", _GRID, allowed_steps=(2, 8), guidance_range=NO_GUIDANCE_AT_ALL, lora_scale=1.0,
    arguments={"eta": 0.3},
)  # fmt: skip


def _tcd(family: str, repo: str, revision: str | None, size: int | None, unverified: tuple[str, ...]) -> Checkpoint:
    return Checkpoint(
        method="tcd",
        family=family,
        kind="lora",
        repo=repo,
        revision=revision,
        filename="pytorch_lora_weights.safetensors",
        base=_BASES[family],
        recipe=_sized(_TCD, family),
        steps=(4, 8),
        title="TCD",
        paper="Trajectory Consistency Distillation",
        arxiv="2402.19159",
        licence="MIT",
        size_bytes=None if size is None else size * MB,
        source="model card",
        note="eta is the paper's gamma, the share of noise put back at every step; its card says 0.3.",
        unverified=unverified,
    )


TCD = (
    _tcd("sdxl", "h1t/TCD-SDXL-LoRA", "ea69e290a201cbb9ac232be2d5c81ef6dc0fc3a2", 394, ()),
    _tcd("sd15", "h1t/TCD-SD15-LoRA", "449a99f6bbded2bdbbc66386b2a4fbf8db8d3807", 135, ()),
    _tcd("sd21", "h1t/TCD-SD21-base-LoRA", "ca10f5910507bfe90cc1b264dcee286b5529209b", None, (MIRROR,)),
)

# ---- PCM -------------------------------------------------------------------------------------------------------------
_PCM = Recipe(
    "DDIMScheduler", {**TRAILING, "clip_sample": False, "set_alpha_to_one": False, "prediction_type": "epsilon"},
    "classifier-free", 1.0, guidance_range=(1.0, 2.0), lora_scale=1.0,
)  # fmt: skip


def _pcm(family: str, steps: int) -> Checkpoint:
    return Checkpoint(
        method="pcm",
        family=family,
        kind="lora",
        repo="wangfuyun/PCM_Weights",
        revision="39560fead4ce00f94db3cb8e93dd8fba90ec0be6",
        filename=f"{family}/pcm_{family}_smallcfg_{steps}step_converted.safetensors",
        base=_BASES[family],
        recipe=_sized(replace(_PCM, allowed_steps=(steps, steps)), family),
        steps=(steps,),
        title="PCM",
        paper="Phased Consistency Models",
        arxiv="2405.18407",
        licence="not stated on the card",
        size_bytes=(394 if family == "sdxl" else 135) * MB,
        source="model card: DDIM, trailing, clip_sample and set_alpha_to_one off; file list at 39560fe",
        note="The card asks for DDIM or Euler; the authors' demo uses TCD's scheduler with the same spacing.",
    )


PCM = tuple(_pcm(family, steps) for family in ("sdxl", "sd15") for steps in (4, 8, 2, 16))

# ---- Hyper-SD --------------------------------------------------------------------------------------------------------
_HYPER_NAMES = {"sdxl": "SDXL", "sd15": "SD15"}
_HYPER_BYTES = {"sdxl": 787 * MB, "sd15": 269 * MB}
_HYPER_N = Recipe(
    "DDIMScheduler", {**TRAILING, "prediction_type": "epsilon"}, guidance_range=NO_GUIDANCE_AT_ALL, lora_scale=1.0
)
_HYPER_ONE = Recipe(
    "TCDScheduler", _GRID, allowed_steps=(1, 8), guidance_range=NO_GUIDANCE_AT_ALL, lora_scale=1.0,
    arguments={"eta": 1.0},
)  # fmt: skip


HYPER_UNET = Checkpoint(
    method="hyper-sd",
    family="sdxl",
    kind="unet",
    repo="ByteDance/Hyper-SD",
    revision="07822d9cde7a6c34b8f35c169a87a9a2885fd929",
    filename="Hyper-SDXL-1step-Unet.safetensors",
    sha256="3d72d3f97c08df11e4979d212c9b72bbce34cc3d7758daf660134698cf4e2dd1",
    base=SDXL_BASE,
    recipe=_sized(
        Recipe(
            "LCMScheduler", {"prediction_type": "epsilon"}, timesteps={1: (800,)}, allowed_steps=(1, 1),
            guidance_range=NO_GUIDANCE_AT_ALL,
        ),
        "sdxl",
    ),
    steps=(1,),
    title="Hyper-SD",
    paper="Hyper-SD: Trajectory Segmented Consistency Model for Efficient Image Synthesis",
    arxiv="2404.13686",
    licence=OPENRAIL_PP,
    size_bytes=10_270_077_704,
    source="model card and file list at 07822d9; the hub's page of commit 58c1cb1 for sha256",
    note="Starts at timestep 800, not 999.",
)  # fmt: skip


def _hyper_lora(family: str, steps: int) -> Checkpoint:
    return replace(
        HYPER_UNET,
        family=family,
        kind="lora",
        filename=f"Hyper-{_HYPER_NAMES[family]}-{steps}steps-lora.safetensors",
        sha256=None,
        source="model card and file list at 07822d9",
        base=_BASES[family],
        recipe=_sized(replace(_HYPER_N, allowed_steps=(steps, steps)), family),
        steps=(steps,),
        size_bytes=_HYPER_BYTES[family],
        note="",
    )


def _hyper_unified(family: str, method: str, steps: tuple[int, ...]) -> Checkpoint:
    recipe = _HYPER_ONE if len(steps) > 1 else replace(_HYPER_ONE, allowed_steps=(1, 1))
    return replace(
        _hyper_lora(family, 1),
        method=method,
        filename=f"Hyper-{_HYPER_NAMES[family]}-1step-lora.safetensors",
        recipe=_sized(recipe, family),
        steps=steps,
        title="Hyper-SD" if len(steps) == 1 else "Hyper-SD (unified LoRA)",
        note="eta 1.0 is the card's at one step; it says that a lower one gives more detail at more steps.",
    )


HYPER = (
    *(_hyper_lora("sdxl", steps) for steps in (4, 8, 2)),
    HYPER_UNET,
    *(_hyper_lora("sd15", steps) for steps in (4, 8, 2)),
    _hyper_unified("sd15", "hyper-sd", (1,)),
    *(_hyper_unified(family, "hyper-sd-unified", (1, 2, 4, 8)) for family in ("sdxl", "sd15")),
)

ROWS = (LCM_SDXL, LCM_SD15, *LCM_LORA, *TCD, *PCM, *HYPER)
