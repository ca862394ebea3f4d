"""Which timesteps a recipe visits, as its authors give them: what the denoiser must be called with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isclose

from methods.diffusion.timesteps import (
    consistency_timesteps,
    flow_timesteps,
    piecewise_timesteps,
    trailing_timesteps,
)
from methods.interface import Recipe

DEMO_TIMESTEPS = (999, 899, 799, 699)
"""Of Stability AI's demo of the Turbo models; n steps take the first n."""

_Rule = Callable[[Recipe, int], tuple[float, ...]]


def expected_timesteps(
    recipe: Recipe, num_inference_steps: int, *, down_to_zero: bool = False
) -> tuple[float, ...] | None:
    """The timesteps of `num_inference_steps` steps, noisiest first; None where no card says and any spacing will do.

    For `SCMScheduler` they are angles. `down_to_zero` is FLUX's spacing of flow matching.

    Raises:
        ValueError: for a step count that the recipe's spacing does not have.
    """
    if num_inference_steps in recipe.timesteps:
        return tuple(float(t) for t in recipe.timesteps[num_inference_steps])
    if recipe.scheduler == "FlowMatchEulerDiscreteScheduler":
        return _flow(recipe, num_inference_steps, down_to_zero)
    if recipe.scheduler in _RULES:
        return tuple(float(t) for t in _RULES[recipe.scheduler](recipe, num_inference_steps))
    if recipe.scheduler_config.get("timestep_spacing") == "trailing":
        return tuple(float(t) for t in trailing_timesteps(num_inference_steps))
    return None


def same_timesteps(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Equal up to the rounding of float32, in which schedulers keep them."""
    return len(one) == len(other) and all(
        isclose(a, b, rel_tol=1e-5, abs_tol=1e-5) for a, b in zip(one, other, strict=True)
    )


def _demo(_recipe: Recipe, steps: int) -> tuple[float, ...]:
    if not 1 <= steps <= len(DEMO_TIMESTEPS):
        raise ValueError(f"the demo's sampler takes 1 to {len(DEMO_TIMESTEPS)} steps, got {steps}")
    return DEMO_TIMESTEPS[:steps]


def _rectified(_recipe: Recipe, steps: int) -> tuple[float, ...]:
    return tuple(1000 * (steps - i) / steps for i in range(steps))


def _piecewise(recipe: Recipe, steps: int) -> tuple[float, ...]:
    return piecewise_timesteps(steps, _count(recipe.scheduler_config, "num_time_windows", 4))


def _consistency(recipe: Recipe, steps: int) -> tuple[float, ...]:
    return consistency_timesteps(steps, _count(recipe.scheduler_config, "original_inference_steps", 50))


def _angles(recipe: Recipe, steps: int) -> tuple[float, ...]:
    """Even from the largest angle to 0, which is not visited; two steps have a middle of their own."""
    arguments = {**recipe.arguments, **recipe.step_arguments.get(steps, {})}
    largest, middle = _number(arguments.get("max_timesteps")), arguments.get("intermediate_timesteps")
    if middle is not None:
        return (largest, _number(middle))
    return tuple(largest * (steps - i) / steps for i in range(steps))


def _flow(recipe: Recipe, steps: int, down_to_zero: bool) -> tuple[float, ...] | None:
    if recipe.scheduler_config.get("use_dynamic_shifting") or "shift" not in recipe.scheduler_config:
        return None
    return flow_timesteps(steps, _number(recipe.scheduler_config["shift"]), down_to_zero=down_to_zero)


def _count(values: Mapping[str, object], name: str, default: int) -> int:
    value = values.get(name, default)
    if not isinstance(value, int):
        raise ValueError(f"{name} must be a whole number, got {value!r}")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected a number, got {value!r}")
    return float(value)


_RULES: Mapping[str, _Rule] = {
    "TurboDemoScheduler": _demo,
    "RectifiedFlowScheduler": _rectified,
    "PeRFlowScheduler": _piecewise,
    "LCMScheduler": _consistency,
    "TCDScheduler": _consistency,
    "SCMScheduler": _angles,
}
