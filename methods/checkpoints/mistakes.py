"""What is known to go wrong where a recipe is not followed: each was met by many users of the released checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from methods.checkpoints.table import Checkpoint

_CONSISTENCY = ("LCMScheduler", "TCDScheduler")
_FLOWS = ("RectifiedFlowScheduler", "PeRFlowScheduler")


def known_mistake(row: Checkpoint, setting: str, actual: str) -> str | None:
    """What happens to the images of `row` where `setting` is `actual`; None where nothing is known."""
    rule = _RULES.get(setting)
    return None if rule is None else rule(row, actual)


def _scheduler(row: Checkpoint, _actual: str) -> str:
    if row.method.startswith("add"):
        return "a Turbo model without its own Euler steps on its own timesteps gives noise"
    if row.recipe.scheduler in _CONSISTENCY:
        return "this network jumps to the end of the path; a solver that takes it for a step's direction gives a blur"
    if row.recipe.scheduler in _FLOWS:
        return "this network predicts a flow; a scheduler of diffusion reads it as noise"
    return "the network was distilled for the expected scheduler's steps"


def _spacing(row: Checkpoint, actual: str) -> str:
    return (
        f"{actual} spacing may start below the last timestep, while the latents start as pure noise: "
        f"{row.title} then gives noise"
    )


def _prediction(_row: Checkpoint, _actual: str) -> str:
    return "the network's output is read as another quantity: grey or noise"


def _timesteps(row: Checkpoint, _actual: str) -> str:
    return f"{row.title} was trained at the expected timesteps"


def _steps(row: Checkpoint, _actual: str) -> str:
    counts = ", ".join(str(count) for count in sorted(row.steps))
    return f"these weights are published for {counts}"


def _guidance(row: Checkpoint, actual: str) -> str | None:
    if row.recipe.guidance == "embedded":
        return "the scale is an input of the network; guidance by a second evaluation would apply it twice"
    if actual == "embedded":
        return "the network has no input for a scale"
    return "guidance is in the weights already"


def _guidance_scale(row: Checkpoint, actual: str) -> str | None:
    most = (row.recipe.guidance_range or (0.0, row.recipe.guidance_scale))[1]
    if row.recipe.guidance == "embedded":
        return "the network was not distilled at this scale"
    if float(actual.partition(" ")[0]) <= most:
        return "weaker guidance than its authors use: pale, and off the prompt"
    if row.method == "lcm-lora":
        return "LCM-LoRA blurs and burns above 2; its guidance is in the weights"
    if most <= 2.0:
        return "guidance is in the weights already; more of it burns the image and doubles the evaluations"
    return "more guidance than its authors use: burnt colours"


def _vae_dtype(_row: Checkpoint, _actual: str) -> str:
    return "SDXL's decoder overflows in float16: black images"


def _dtype(_row: Checkpoint, _actual: str) -> str:
    return "these networks overflow in float16: black images"


def _negative_prompt(row: Checkpoint, _actual: str) -> str | None:
    if row.recipe.guidance_range is not None and row.recipe.guidance_range[1] <= 1.0:
        return "without guidance a negative prompt has no effect"
    return "it moves every image, and the other methods have none"


def _lora_scale(row: Checkpoint, _actual: str) -> str | None:
    return "the LoRA is the distillation; less of it needs more steps" if row.recipe.lora_scale is not None else None


def _size(_row: Checkpoint, _actual: str) -> str:
    return "away from the size of its training a network repeats objects or blurs"


def _eta(_row: Checkpoint, _actual: str) -> str:
    return "eta is how much noise each step puts back: the pipeline's default of 0 is another sampler"


def _middle(_row: Checkpoint, _actual: str) -> str:
    return "the middle timestep is for two steps alone"


_RULES: Mapping[str, Callable[[Checkpoint, str], str | None]] = {
    "scheduler": _scheduler,
    "timestep_spacing": _spacing,
    "prediction_type": _prediction,
    "timesteps": _timesteps,
    "steps": _steps,
    "guidance": _guidance,
    "guidance_scale": _guidance_scale,
    "vae_dtype": _vae_dtype,
    "dtype": _dtype,
    "negative_prompt": _negative_prompt,
    "lora_scale": _lora_scale,
    "size": _size,
    "eta": _eta,
    "intermediate_timesteps": _middle,
}
