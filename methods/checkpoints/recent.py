"""Models of 2025 and 2026 that are listed with their recipe and not run here."""

from __future__ import annotations

from methods.checkpoints.shared import APACHE, MB, NO_GUIDANCE_AT_ALL
from methods.checkpoints.table import Checkpoint
from methods.interface import Recipe

_EULER = "FlowMatchEulerDiscreteScheduler"
_LOG_3 = 1.0986122886681098  # the card writes math.log(3)

KLEIN = Checkpoint(
    method="flux2-klein",
    family="flux2",
    kind="pipeline",
    repo="black-forest-labs/FLUX.2-klein-4B",
    recipe=Recipe(
        _EULER, {}, allowed_steps=(4, 4), height=1024, width=1024, guidance_range=NO_GUIDANCE_AT_ALL,
        dtypes=("bfloat16",),
    ),
    steps=(4,),
    title="FLUX.2 [klein] 4B",
    paper="FLUX.2 [klein] (model card)",
    arxiv=None,
    licence=APACHE,
    dtype="bfloat16",
    runs=False,
    source="model card",
    unverified=("scheduler_config.json",),
)  # fmt: skip
Z_IMAGE = Checkpoint(
    method="z-image-turbo",
    family="zimage",
    kind="pipeline",
    repo="Tongyi-MAI/Z-Image-Turbo",
    recipe=Recipe(
        _EULER, {}, allowed_steps=(9, 9), height=1024, width=1024, guidance_range=NO_GUIDANCE_AT_ALL,
        dtypes=("bfloat16",),
    ),
    steps=(9,),
    title="Z-Image-Turbo",
    paper="Z-Image",
    arxiv="2511.22699",
    licence=APACHE,
    dtype="bfloat16",
    runs=False,
    source="README of the authors: num_inference_steps=9 is 8 evaluations, guidance 0",
    note="A copy of it (TensorStack/Z-Image-Turbo-ts) has shift 3.0 without dynamic shifting.",
    unverified=("licence", "scheduler_config.json"),
)  # fmt: skip


def _qwen(steps: int) -> Checkpoint:
    config = {"base_shift": _LOG_3, "max_shift": _LOG_3, "shift_terminal": None, "use_dynamic_shifting": True}
    return Checkpoint(
        method="qwen-lightning",
        family="qwen",
        kind="lora",
        repo="lightx2v/Qwen-Image-Lightning",
        revision="374cc3fcb25225a3540b150f3c52ab114daafbcb",
        filename=f"Qwen-Image-Lightning-{steps}steps-V1.0.safetensors",
        base="Qwen/Qwen-Image",
        recipe=Recipe(
            _EULER, config, allowed_steps=(steps, steps), height=1024, width=1024,
            guidance_range=NO_GUIDANCE_AT_ALL, lora_scale=1.0, dtypes=("bfloat16",), arguments={"true_cfg_scale": 1.0},
        ),
        steps=(steps,),
        title="Qwen-Image-Lightning",
        paper="Qwen-Image-Lightning (repository)",
        arxiv=None,
        licence=APACHE,
        dtype="bfloat16",
        runs=False,
        size_bytes=1_700 * MB,
        source="diffusers documentation of QwenImagePipeline; file list at 374cc3f; licence at 813e69c",
    )  # fmt: skip


ROWS = (KLEIN, Z_IMAGE, _qwen(4), _qwen(8))
