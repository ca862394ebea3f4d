"""Methods whose weights nobody published: rows that say so, with the settings of the paper."""

from __future__ import annotations

from dataclasses import replace

from methods.checkpoints.shared import NO_GUIDANCE_AT_ALL, TRAILING
from methods.checkpoints.table import Checkpoint
from methods.interface import Recipe

_DDIM = Recipe(
    "DDIMScheduler", {**TRAILING, "clip_sample": False, "set_alpha_to_one": True}, height=512, width=512
)  # fmt: skip

UFOGEN = Checkpoint(
    method="ufogen",
    family="sd15",
    kind="unet",
    repo=None,
    recipe=Recipe(
        "LCMScheduler", {"original_inference_steps": 1000, "clip_sample": False}, allowed_steps=(1, 4), height=512,
        width=512, guidance_range=NO_GUIDANCE_AT_ALL,
    ),
    steps=(1, 4),
    title="UFOGen",
    paper="UFOGen: You Forward Once Large Scale Text-to-Image Generation via Diffusion GANs",
    arxiv="2311.09257",
    licence="none",
    source="arXiv 2311.09257; no weights were found on the hub",
    note="No public weights: `bench train ufogen` makes them, in the embedded suite.",
    unverified=("scheduler: the embedded suite's",),
)  # fmt: skip
CFG_AWARE = replace(
    UFOGEN,
    method="cfg-aware",
    recipe=replace(
        _DDIM, guidance="classifier-free", guidance_scale=7.5, guidance_range=(1.0, 30.0), allowed_steps=(8, 8)
    ),
    steps=(8,),
    title="CFG-aware distillation (SnapFusion)",
    paper="SnapFusion: Text-to-Image Diffusion Model on Mobile Devices within Two Seconds",
    arxiv="2306.00980",
    source="arXiv 2311.17042, table 2, for the step count; no weights were found on the hub",
    note="No public weights: `bench train cfg-aware` makes them, in the embedded suite.",
    unverified=("guidance_scale", "scheduler: the embedded suite's"),
)
GUIDANCE_DISTILLATION = replace(
    UFOGEN,
    method="gd",
    recipe=replace(
        _DDIM, guidance="embedded", guidance_scale=8.0, guidance_range=(3.0, 15.0), allowed_steps=(4, 50)
    ),
    steps=(25, 8, 4),
    title="Guidance distillation, first stage",
    paper="On Distillation of Guided Diffusion Models",
    arxiv="2210.03142",
    source="arXiv 2210.03142",
    note="No public weights: `bench train gd` makes them, in the embedded suite.",
    unverified=("guidance_range",),
)  # fmt: skip

GAN = replace(
    UFOGEN,
    method="gan",
    family="gan",
    kind="pipeline",
    recipe=Recipe("none", {}, allowed_steps=(1, 1), height=512, width=512, guidance_range=NO_GUIDANCE_AT_ALL),
    steps=(1,),
    title="StyleGAN-T++",
    paper="Adversarial Diffusion Distillation",
    arxiv="2311.17042",
    source="arXiv 2311.17042, table 2; no weights were found on the hub",
    note="No public weights: `bench train gan` makes a small one, in the embedded suite.",
    unverified=(),
)
ROWS = (UFOGEN, CFG_AWARE, GUIDANCE_DISTILLATION, GAN)
