"""Distribution matching (DMD2) and progressive distillation."""

from __future__ import annotations

from dataclasses import replace

from methods.checkpoints.shared import APACHE, CC_BY_NC, GB, NO_GUIDANCE_AT_ALL, SDXL_BASE, TRAILING
from methods.checkpoints.table import Checkpoint
from methods.interface import Recipe

_DMD2 = Recipe(
    "LCMScheduler", {"prediction_type": "epsilon"}, timesteps={4: (999, 749, 499, 249)}, allowed_steps=(4, 4),
    height=1024, width=1024, guidance_range=NO_GUIDANCE_AT_ALL, vae_dtype="float32",
)  # fmt: skip
DMD2 = Checkpoint(
    method="dmd2",
    family="sdxl",
    kind="unet",
    repo="tianweiy/DMD2",
    filename="dmd2_sdxl_4step_unet_fp16.safetensors",
    base=SDXL_BASE,
    recipe=_DMD2,
    steps=(4,),
    title="DMD2",
    paper="Improved Distribution Matching Distillation for Fast Image Synthesis",
    arxiv="2405.14867",
    licence=CC_BY_NC,
    size_bytes=5 * GB,
    source="model card; README of tianweiy/DMD2 at 8d8fa55",
    note="The card's example reads the .bin beside it; this is the same network in safetensors (commit be22767).",
    unverified=("size_bytes", "that both files hold the same numbers"),
)
DMD2_ONE = replace(
    DMD2,
    filename="dmd2_sdxl_1step_unet_fp16.bin",
    pickle=True,
    recipe=replace(_DMD2, timesteps={1: (399,)}, allowed_steps=(1, 1)),
    steps=(1,),
    note="One step from timestep 399, fed with pure noise.",
    unverified=("size_bytes",),
)
DMD2_LORA = replace(
    DMD2,
    method="dmd2-lora",
    kind="lora",
    filename="dmd2_sdxl_4step_lora_fp16.safetensors",
    recipe=replace(_DMD2, lora_scale=1.0),
    title="DMD2 (LoRA)",
    size_bytes=None,
    note="",
    unverified=(),
)
PROGRESSIVE = Checkpoint(
    method="pd",
    family="sdxl",
    kind="unet",
    repo=None,
    recipe=Recipe(
        "DDIMScheduler", {**TRAILING, "clip_sample": False, "set_alpha_to_one": True}, allowed_steps=(1, 4),
        guidance_range=NO_GUIDANCE_AT_ALL,
    ),
    steps=(4, 2, 1),
    title="Progressive distillation",
    paper="On Distillation of Guided Diffusion Models",
    arxiv="2210.03142",
    licence=APACHE,
    source="arXiv 2210.03142",
    note="No public weights: `bench train pd` makes them, in the embedded suite or from a teacher of yours.",
)  # fmt: skip

ROWS = (DMD2, DMD2_ONE, DMD2_LORA, PROGRESSIVE)
