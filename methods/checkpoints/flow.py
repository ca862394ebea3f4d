"""Straightened flows (InstaFlow, PeRFlow) and distilled flow matching (FLUX.1-schnell, SANA-Sprint)."""

from __future__ import annotations

from dataclasses import replace

from methods.checkpoints.shared import APACHE, CC_BY_NC, MB, NO_GUIDANCE_AT_ALL
from methods.checkpoints.table import Checkpoint
from methods.interface import Recipe

INSTAFLOW = Checkpoint(
    method="instaflow",
    family="sd15",
    kind="pipeline",
    repo="XCLiu/instaflow_0_9B_from_sd_1_5",
    revision="5095524f30694797f224357bc4eaaff75925ffa8",
    size_bytes=4_270 * MB,
    recipe=Recipe(
        "RectifiedFlowScheduler", {}, allowed_steps=(1, 1), height=512, width=512, guidance_range=NO_GUIDANCE_AT_ALL
    ),
    steps=(1,),
    title="InstaFlow-0.9B",
    paper="InstaFlow: One Step is Enough for High-Quality Diffusion-Based Text-to-Image Generation",
    arxiv="2309.06380",
    licence=CC_BY_NC,
    source="README of gnobitab/InstaFlow at f543f81 and its code/pipeline_rf.py; file list at 5095524",
    note="Its index names a pipeline class of its authors, which is not loaded. The 1.7B model was not released.",
)

PERFLOW_SDXL = Checkpoint(
    method="perflow",
    family="sdxl",
    kind="pipeline",
    repo="hansyan/perflow-sdxl-base",
    variant="v0-fix",
    recipe=Recipe(
        "PeRFlowScheduler", {"prediction_type": "ddim_eps", "num_time_windows": 4}, "classifier-free", 2.0,
        allowed_steps=(4, 50), height=1024, width=1024, guidance_range=(1.5, 2.5), vae_dtype="float32",
    ),
    steps=(6, 4, 8),
    title="PeRFlow",
    paper="PeRFlow: Piecewise Rectified Flow as Universal Plug-and-Play Accelerator",
    arxiv="2405.07510",
    licence=CC_BY_NC,
    source="README, scripts and src/scheduler_perflow.py of magic-research/piecewise-rectified-flow at 87bac76",
    note="The authors' examples give negative prompts; here there is none.",
    unverified=("variant, read for perflow-sdxl-dreamshaper", "guidance and steps, read for perflow-sdxl-dreamshaper"),
)  # fmt: skip
PERFLOW_SD15 = replace(
    PERFLOW_SDXL,
    family="sd15",
    repo="hansyan/perflow-sd15-dreamshaper",
    variant=None,
    recipe=Recipe(
        "PeRFlowScheduler", {"prediction_type": "diff_eps", "num_time_windows": 4}, "classifier-free", 7.5,
        allowed_steps=(4, 50), height=512, width=512, guidance_range=(4.5, 7.5),
    ),
    steps=(8, 4, 6),
    title="PeRFlow (Dreamshaper)",
    note="The authors' script pairs 8 steps with 7.5, 6 with 6.0, 4 with 4.5; their examples give negative prompts.",
    unverified=(),
)  # fmt: skip

SCHNELL = Checkpoint(
    method="flux-schnell",
    family="flux",
    kind="pipeline",
    repo="black-forest-labs/FLUX.1-schnell",
    recipe=Recipe(
        "FlowMatchEulerDiscreteScheduler", {"shift": 1.0, "use_dynamic_shifting": False}, allowed_steps=(1, 4),
        height=1024, width=1024, guidance_range=NO_GUIDANCE_AT_ALL, dtypes=("bfloat16",),
        arguments={"max_sequence_length": 256},
    ),
    steps=(4, 1, 2),
    title="FLUX.1 [schnell]",
    paper="FLUX.1 [schnell] (model card)",
    arxiv=None,
    licence=APACHE,
    dtype="bfloat16",
    source="diffusers documentation of FluxPipeline; scheduler_config.json at 64a3664; licence on the hub's pages",
    note="Pixels differ where the prompt is given more than 256 tokens.",
    unverified=("the model card's example", "whether the hub asks to accept the licence"),
)  # fmt: skip


def _sana(method: str, size: str, title: str, unverified: tuple[str, ...]) -> Checkpoint:
    return Checkpoint(
        method=method,
        family="sana",
        kind="pipeline",
        repo=f"Efficient-Large-Model/Sana_Sprint_{size}_1024px_diffusers",
        recipe=Recipe(
            "SCMScheduler", {"prediction_type": "trigflow", "sigma_data": 0.5}, "embedded", 4.5, allowed_steps=(1, 4),
            height=1024, width=1024, guidance_range=(4.5, 4.5), dtypes=("bfloat16",),
            arguments={"max_timesteps": 1.57080, "intermediate_timesteps": None},
            step_arguments={2: {"intermediate_timesteps": 1.3}},
        ),
        steps=(2, 1, 4),
        title=title,
        paper="SANA-Sprint: One-Step Diffusion with Continuous-Time Consistency Distillation",
        arxiv="2503.09641",
        licence="NVIDIA License, and Gemma Terms of Use for its text encoder",
        dtype="bfloat16",
        source="authors' documentation; defaults of diffusers' SanaSprintPipeline",
        note="The middle timestep, 1.3, belongs to two steps alone. The authors' instruction is put before the prompt.",
        unverified=unverified,
    )  # fmt: skip


SANA = (
    _sana("sana-sprint", "1.6B", "SANA-Sprint 1.6B", ("licence, read in NVIDIA's copy of the card on Replicate",)),
    _sana("sana-sprint-0.6b", "0.6B", "SANA-Sprint 0.6B", ("licence: copies of its card disagree",)),
)

ROWS = (INSTAFLOW, PERFLOW_SDXL, PERFLOW_SD15, SCHNELL, *SANA)
