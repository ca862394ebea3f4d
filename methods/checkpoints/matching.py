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
    revision="be22767697a1f3ca656b73c776e15fa335c86c6c",
    filename="dmd2_sdxl_4step_unet_fp16.safetensors",
    sha256="3549f1726d24afa4a26493c9049af8fb74108ff0a36f67ced0d3b4aa164cce92",
    base=SDXL_BASE,
    recipe=_DMD2,
    steps=(4,),
    title="DMD2",
    paper="Improved Distribution Matching Distillation for Fast Image Synthesis",
    arxiv="2405.14867",
    licence=CC_BY_NC,
    size_bytes=5_135_149_736,
    source="model card; README of tianweiy/DMD2 at 8d8fa55; the hub's page of commit be22767 for sha256",
    note="The card's example reads the .bin beside it; this is the same network in safetensors (commit be22767).",
    unverified=("that both files hold the same numbers",),
)
DMD2_ONE = replace(
    DMD2,
    revision="3863dad05278f1155b3872e09665e50d32460fc8",
    filename="dmd2_sdxl_1step_unet_fp16.bin",
    sha256=None,
    size_bytes=5 * GB,
    source="model card; README of tianweiy/DMD2 at 8d8fa55",
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
    revision="552f138d6c8be8c407eea76d4159cfcfafa1e167",
    filename="dmd2_sdxl_4step_lora_fp16.safetensors",
    sha256="7de75d21cb3f04bc3e734424157b2c3b799b862069c8dd9f4ad76fe66c57ba7c",
    recipe=replace(_DMD2, lora_scale=1.0),
    title="DMD2 (LoRA)",
    size_bytes=393_736_496,
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
