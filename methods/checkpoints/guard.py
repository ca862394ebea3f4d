"""The recipe guard: what a model card prescribes against what is about to run, setting by setting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from methods.checkpoints.families import FAMILIES
from methods.checkpoints.mistakes import known_mistake
from methods.checkpoints.spacing import expected_timesteps, same_timesteps
from methods.checkpoints.table import Checkpoint
from methods.diffusion.scale import NO_GUIDANCE
from methods.interface import Guidance, Recipe

_EXACT = 1e-9


@dataclass(frozen=True)
class Settings:
    """What is about to run. `timesteps` None means that nobody has asked the scheduler yet."""

    steps: int
    scheduler: str
    config: Mapping[str, Any]
    guidance: Guidance
    guidance_scale: float
    height: int | None
    width: int | None
    dtype: str
    vae_dtype: str
    timesteps: tuple[float, ...] | None = None
    negative_prompt: str = ""
    lora_scale: float | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """One setting. `mistake` says what is known to happen where it is wrong."""

    name: str
    expected: str
    actual: str
    ok: bool
    mistake: str | None = None

    @property
    def line(self) -> str:
        """One line: `guidance_scale is 7, the recipe has 1 (none): the mistake`."""
        told = f"{self.name} is {self.actual}, the recipe has {self.expected}"
        return told if self.mistake is None else f"{told}: {self.mistake}"


def planned(recipe: Recipe, *, steps: int, guidance_scale: float | None = None, dtype: str = "float32") -> Settings:
    """What would run of `recipe` with the settings of a command line: known before a weight is read."""
    scale = recipe.guidance_scale if guidance_scale is None else max(guidance_scale, NO_GUIDANCE)
    return Settings(
        steps=steps,
        scheduler=recipe.scheduler,
        config=recipe.scheduler_config,
        guidance=guidance_of(recipe, scale),
        guidance_scale=scale,
        height=recipe.height,
        width=recipe.width,
        dtype=dtype,
        vae_dtype=recipe.vae_dtype or dtype,
        negative_prompt=recipe.negative_prompt,
        lora_scale=recipe.lora_scale,
        arguments={**recipe.arguments, **recipe.step_arguments.get(steps, {})},
    )


def guidance_of(recipe: Recipe, scale: float) -> Guidance:
    """What a stock pipeline does at a scale: a network without an input for it is guided above 1 alone."""
    if recipe.guidance == "embedded":
        return "embedded"
    return "classifier-free" if scale > NO_GUIDANCE else "none"


def compare(row: Checkpoint, settings: Settings) -> tuple[Check, ...]:
    """Every setting of the row's recipe beside the one that is about to run."""
    return tuple(_with_mistake(row, check) for check in _checks(row, settings))


def problems(row: Checkpoint, settings: Settings) -> tuple[Check, ...]:
    """The settings that depart from the recipe."""
    return tuple(check for check in compare(row, settings) if not check.ok)


def _with_mistake(row: Checkpoint, check: Check) -> Check:
    if check.ok:
        return check
    return Check(check.name, check.expected, check.actual, False, known_mistake(row, check.name, check.actual))


def _checks(row: Checkpoint, settings: Settings) -> Iterator[Check]:
    recipe = row.recipe
    yield _steps(recipe, settings)
    yield _same("scheduler", recipe.scheduler, settings.scheduler)
    for name, value in recipe.scheduler_config.items():
        yield _same(name, value, settings.config.get(name))
    yield from _timesteps(row, settings)
    yield _guidance(recipe, settings)
    yield _guidance_scale(recipe, settings)
    if recipe.height is not None and recipe.width is not None:
        yield _same("size", _pixels(recipe.height, recipe.width), _pixels(settings.height, settings.width))
    yield _dtype(recipe, settings)
    yield _vae_dtype(recipe, settings)
    yield _negative_prompt(recipe, settings)
    yield _same("lora_scale", recipe.lora_scale, settings.lora_scale)
    for name, value in {**recipe.arguments, **recipe.step_arguments.get(settings.steps, {})}.items():
        yield _same(name, value, settings.arguments.get(name))


def _steps(recipe: Recipe, settings: Settings) -> Check:
    fewest, most = recipe.allowed_steps
    if (fewest, most) == Recipe("").allowed_steps:
        expected = "any"
    else:
        expected = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    return Check("steps", expected, str(settings.steps), fewest <= settings.steps <= most)


def _timesteps(row: Checkpoint, settings: Settings) -> Iterator[Check]:
    """The schedule number by number, where the card gives one and the scheduler was asked."""
    try:
        expected = expected_timesteps(row.recipe, settings.steps, down_to_zero=FAMILIES[row.family].gives_sigmas)
    except ValueError:
        return  # no such schedule: the step count is the problem, and said above
    if expected is None:
        return
    if settings.timesteps is None:
        yield Check("timesteps", _numbers(expected), _numbers(expected), True)
    else:
        same = same_timesteps(expected, settings.timesteps)
        yield Check("timesteps", _numbers(expected), _numbers(settings.timesteps), same)


def _guidance(recipe: Recipe, settings: Settings) -> Check:
    """Classifier-free guidance at a scale of 1 is none, which a recipe that allows both does not mind."""
    alike = {recipe.guidance, settings.guidance} <= {"none", "classifier-free"}
    may = recipe.guidance == settings.guidance or (
        alike and (recipe.guidance == "classifier-free" or settings.guidance == "none")
    )
    return Check("guidance", recipe.guidance, settings.guidance, may)


def _guidance_scale(recipe: Recipe, settings: Settings) -> Check:
    low, high = recipe.guidance_range or (recipe.guidance_scale, recipe.guidance_scale)
    expected = _scale(low) if low == high else f"{low:g} to {high:g}"
    ok = low - _EXACT <= settings.guidance_scale <= high + _EXACT
    return Check("guidance_scale", expected, _scale(settings.guidance_scale), ok)


def _dtype(recipe: Recipe, settings: Settings) -> Check:
    if not recipe.dtypes:
        return Check("dtype", "any", settings.dtype, True)
    known = (*recipe.dtypes, "float32")
    return Check("dtype", " or ".join(known), settings.dtype, settings.dtype in known)


def _vae_dtype(recipe: Recipe, settings: Settings) -> Check:
    """bfloat16 has the range of float32, so that only float16 overflows."""
    ok = recipe.vae_dtype is None or settings.vae_dtype != "float16"
    return Check("vae_dtype", recipe.vae_dtype or "any", settings.vae_dtype, ok)


def _negative_prompt(recipe: Recipe, settings: Settings) -> Check:
    expected, actual = recipe.negative_prompt, settings.negative_prompt
    return Check("negative_prompt", expected or "none", actual or "none", expected == actual)


def _same(name: str, expected: object, actual: object) -> Check:
    return Check(name, _text(expected), _text(actual), _equal(expected, actual))


def _equal(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, int | float):
        return abs(one - other) <= 1e-6 * max(1.0, abs(one))
    return one == other


def _text(value: object) -> str:
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _scale(value: float) -> str:
    return f"{value:g} (none)" if value == NO_GUIDANCE else f"{value:g}"


def _pixels(height: int | None, width: int | None) -> str:
    return f"{height} x {width}"


def _numbers(values: tuple[float, ...]) -> str:
    shown = [f"{value:.6g}" for value in values]
    return ", ".join(shown if len(shown) <= 9 else [*shown[:4], "...", *shown[-2:]])
