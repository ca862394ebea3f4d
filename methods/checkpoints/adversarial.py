"""Adversarial distillation: ADD (SDXL-Turbo, SD-Turbo), SDXL-Lightning, LADD (SD 3.5 Large Turbo)."""

from __future__ import annotations

from dataclasses import replace

from methods.checkpoints.shared import (
    GB,
    NO_GUIDANCE_AT_ALL,
    OPENRAIL_PP,
    SDXL_BASE,
    STABILITY,
    TRAILING,
)
from methods.checkpoints.table import Checkpoint
from methods.interface import Recipe

TURBO_LICENCE = "Stability AI Non-Commercial Research Community License"
_CONFIG = {**TRAILING, "prediction_type": "epsilon"}
_TURBO = Recipe(
    "EulerAncestralDiscreteScheduler", _CONFIG, allowed_steps=(1, 4), height=512, width=512,
    guidance_range=NO_GUIDANCE_AT_ALL,
)  # fmt: skip
_DEMO = replace(_TURBO, scheduler="TurboDemoScheduler", scheduler_config={"prediction_type": "epsilon"})

ADD_SDXL = Checkpoint(
    method="add",
    family="sdxl",
    kind="pipeline",
    repo="stabilityai/sdxl-turbo",
    variant="fp16",
    revision="71153311d3dbb46851df1931d3ca6e939de83304",
    recipe=replace(_TURBO, vae_dtype="float32"),
    steps=(4, 1, 2),
    title="ADD (SDXL-Turbo)",
    paper="Adversarial Diffusion Distillation",
    arxiv="2311.17042",
    licence=TURBO_LICENCE,
    size_bytes=7 * GB,
    source="model card; scheduler/scheduler_config.json of its pull request 4; diffusers documentation",
    unverified=(
        "size_bytes",
        "scheduler_config.json of the pinned revision: the trailing spacing was read in refs/pr/4",
    ),
)
ADD_SD21 = replace(
    ADD_SDXL,
    family="sd21",
    repo="stabilityai/sd-turbo",
    revision="b335f733db09ff60444334351a3bbf6ab4b64332",
    recipe=replace(_TURBO, scheduler="EulerDiscreteScheduler"),
    title="ADD (SD-Turbo)",
    size_bytes=None,
    unverified=(),
    source="model card; scheduler/scheduler_config.json at b335f73",
    note="Distilled from SD 2.1; its own scheduler is Euler without added noise.",
)
_DEMO_NOTE = (
    "The sampler of Stability's own demo: sigmas 0, 100, 200 and 300 of the 1,000 descending ones, so timesteps 999, "
    "899, 799 and 699; initial noise times sqrt(1 + sigma^2)."
)
_DEMO_SOURCE = "Stability-AI/generative-models, scripts/demo/turbo.py"
ADD_DEMO = tuple(
    replace(
        row,
        method="add-demo",
        title=f"{row.title}, demo sampler",
        recipe=replace(_DEMO, vae_dtype=row.recipe.vae_dtype),
        note=_DEMO_NOTE,
        source=_DEMO_SOURCE,
        unverified=row.unverified[:1],
    )
    for row in (ADD_SDXL, ADD_SD21)
)
ADD_SD15 = replace(
    ADD_SD21,
    family="sd15",
    repo=None,
    revision=None,
    variant=None,
    recipe=_TURBO,
    title="ADD (SD 1.5)",
    licence="none",
    source="arXiv 2311.17042, table 2",
    note="No public weights: the row of the paper's table 2 on SD 1.5 was never released. SD-Turbo is of SD 2.1.",
)

_LIGHTNING = Recipe(
    "EulerDiscreteScheduler", _CONFIG, height=1024, width=1024, guidance_range=NO_GUIDANCE_AT_ALL, vae_dtype="float32"
)


_LIGHTNING_SHA256 = {
    "sdxl_lightning_1step_unet_x0.safetensors": "14d53ad5b440a37fc0f429d595d96bf144c5dd842aa5747383e6098c9dbfa644",
    "sdxl_lightning_2step_unet.safetensors": "15a96a3b213b8b4d6ea720b4fa5bf6723cd877170bd1a90f58e34da2968ef854",
    "sdxl_lightning_4step_unet.safetensors": "39a90a8a2a25c1372633c1e8eb1a96f85eab937bcb58cfc6ec9baf66242ec23c",
    "sdxl_lightning_8step_unet.safetensors": "471d8260fda0b17b8906feb24573ce64933d4b6b99ba7a1fa43ca051b994e869",
    "sdxl_lightning_2step_lora.safetensors": "04fafc778385b24144498a8247498ae4fb7a69f702ea0566bdce2845a31fcc43",
    "sdxl_lightning_4step_lora.safetensors": "bf56cf2657efb15e465d81402ed481d1e11c4677e4bcce1bc11fe71ad8506b79",
    "sdxl_lightning_8step_lora.safetensors": "5aa30d94cdf7950a8b53a693682650ee061eddb128c5435a8f88defea73b2ac6",
}
"""As the hub shows them for commit 1b39ebb, which brought the files."""


def _lightning(steps: int, lora: bool) -> Checkpoint:
    recipe = replace(_LIGHTNING, allowed_steps=(steps, steps), lora_scale=1.0 if lora else None)
    suffix = "lora" if lora else "unet_x0" if steps == 1 else "unet"
    filename = f"sdxl_lightning_{steps}step_{suffix}.safetensors"
    if steps == 1:
        recipe = replace(recipe, scheduler_config={**TRAILING, "prediction_type": "sample"})
    return Checkpoint(
        method="lightning-lora" if lora else "lightning",
        family="sdxl",
        kind="lora" if lora else "unet",
        repo="ByteDance/SDXL-Lightning",
        revision="c9a24f48e1c025556787b0c58dd67a091ece2e44",
        filename=filename,
        sha256=_LIGHTNING_SHA256[filename],
        base=SDXL_BASE,
        recipe=recipe,
        steps=(steps,),
        title="SDXL-Lightning" + (" (LoRA)" if lora else ""),
        paper="SDXL-Lightning: Progressive Adversarial Diffusion Distillation",
        arxiv="2402.13929",
        licence=OPENRAIL_PP,
        size_bytes=393_854_592 if lora else 5_135_149_736,
        source="model card and file list at c9a24f4; the hub's pages of the files for sha256",
        note="Predicts the clean sample; its card calls it experimental." if steps == 1 else "",
    )


LIGHTNING = (
    *(_lightning(steps, lora=False) for steps in (4, 8, 2, 1)),
    *(_lightning(steps, lora=True) for steps in (4, 8, 2)),
)

LADD = Checkpoint(
    method="ladd",
    family="sd35",
    kind="pipeline",
    repo="stabilityai/stable-diffusion-3.5-large-turbo",
    recipe=Recipe(
        "FlowMatchEulerDiscreteScheduler", {"shift": 3.0}, allowed_steps=(1, 4), height=1024, width=1024,
        guidance_range=NO_GUIDANCE_AT_ALL, dtypes=("bfloat16",),
    ),
    steps=(4,),
    title="LADD (SD 3.5 Large Turbo)",
    paper="Fast High-Resolution Image Synthesis with Latent Adversarial Diffusion Distillation",
    arxiv="2403.12015",
    licence=STABILITY,
    gated=True,
    dtype="bfloat16",
    source="Stability's own demo space on the hub; its file list, which asks to accept; the reference code for shift",
    unverified=("allowed_steps below 4", "scheduler_config.json: the shift was read in the reference code"),
)  # fmt: skip

ROWS = (ADD_SDXL, ADD_SD21, ADD_SD15, *ADD_DEMO, *LIGHTNING, LADD)
