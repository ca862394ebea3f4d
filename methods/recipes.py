"""`recipe.json`: how the checkpoint beside it wants to be sampled. Read and written strictly."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeGuard, get_args

from methods.diffusion.scale import NO_GUIDANCE, normalise
from methods.errors import WeightsError
from methods.interface import Guidance, Recipe
from methods.jsonfile import read_json

RECIPE = "recipe.json"


def read_recipe(folder: Path) -> Recipe | None:
    """The recipe in `folder`, or None where there is none.

    Raises:
        WeightsError: where the file is not a recipe, naming the field that is wrong.
    """
    path = folder / RECIPE
    if not path.exists():
        return None
    try:
        return recipe_from_json(read_json(path))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: not a recipe: {error}") from error


def write_recipe(folder: Path, recipe: Recipe) -> Path:
    """Write `recipe` beside the parts of the checkpoint in `folder`, whole or not at all.

    Raises:
        ValueError: for a recipe that `read_recipe` would refuse; nothing is written.
    """
    text = json.dumps(recipe_to_json(recipe), indent=2, sort_keys=True, allow_nan=False) + "\n"
    recipe_from_json(json.loads(text))
    partial = folder / (RECIPE + ".partial")
    partial.write_text(text, encoding="utf-8")
    return partial.replace(folder / RECIPE)


def recipe_from_json(data: object) -> Recipe:
    """The recipe that a JSON object stands for.

    Raises:
        ValueError: naming the field that is unknown, missing or wrong.
    """
    if not isinstance(data, dict):
        raise ValueError("expected an object")
    _check_names(data)
    recipe = Recipe(
        scheduler=_scheduler(data.get("scheduler")),
        scheduler_config=_mapping("scheduler_config", data.get("scheduler_config", {})),
        guidance=_guidance(data.get("guidance", "none")),
        guidance_scale=_scale(data.get("guidance_scale", NO_GUIDANCE)),
        timesteps=_timesteps(_mapping("timesteps", data.get("timesteps", {}))),
        allowed_steps=_allowed_steps(data.get("allowed_steps", [1, 1000])),
        height=_size("height", data.get("height")),
        width=_size("width", data.get("width")),
        guidance_range=_range(data.get("guidance_range")),
        negative_prompt=_text("negative_prompt", data.get("negative_prompt", "")),
        vae_dtype=_vae_dtype(data.get("vae_dtype")),
        lora_scale=_number("lora_scale", data.get("lora_scale")),
        dtypes=_names("dtypes", data.get("dtypes", [])),
        arguments=_mapping("arguments", data.get("arguments", {})),
        step_arguments=_step_arguments(_mapping("step_arguments", data.get("step_arguments", {}))),
    )
    if recipe.guidance == "none" and recipe.guidance_scale != NO_GUIDANCE:
        raise ValueError("guidance_scale is given but guidance is 'none'; leave it out or say which guidance")
    return recipe


_ALWAYS = (
    "scheduler", "scheduler_config", "guidance", "guidance_scale", "timesteps", "allowed_steps", "height", "width",
)  # fmt: skip


def recipe_to_json(recipe: Recipe) -> dict[str, Any]:
    """The recipe as JSON data; of the fields that few recipes need, those that say something."""
    values = asdict(recipe)
    return {item.name: values[item.name] for item in fields(Recipe) if item.name in _ALWAYS or _given(item, values)}


def _given(item: Field[Any], values: Mapping[str, Any]) -> bool:
    default = item.default_factory() if item.default_factory is not MISSING else item.default
    return bool(values[item.name] != default)


def _check_names(data: Mapping[str, object]) -> None:
    known = [item.name for item in fields(Recipe)]
    for name in sorted(set(data) - set(known)):
        near = difflib.get_close_matches(name, known, n=1)
        raise ValueError(f"unknown field {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))


def _scheduler(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"scheduler must be the name of a diffusers scheduler class, got {value!r}")
    return value


def _mapping(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be an object, got {value!r}")
    return value


def _guidance(value: object) -> Guidance:
    for kind in get_args(Guidance):
        if value == kind:
            return kind  # type: ignore[no-any-return]
    raise ValueError(f"guidance must be one of {', '.join(get_args(Guidance))}, got {value!r}")


def _scale(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"guidance_scale must be a number, got {value!r}")
    return normalise(value)


def _timesteps(value: Mapping[str, object]) -> dict[int, tuple[int, ...]]:
    result: dict[int, tuple[int, ...]] = {}
    for key, row in value.items():
        if not key.isdecimal() or not isinstance(row, list) or not all(_is_count(t, 0) for t in row):
            raise ValueError(f"timesteps[{key!r}] must map a step count to a list of integers of 0 or more")
        if len(row) != int(key) or any(a <= b for a, b in pairwise(row)):
            raise ValueError(f"timesteps[{key!r}] must hold {key} timesteps, noisiest first and each once")
        result[int(key)] = tuple(row)
    return result


def _allowed_steps(value: object) -> tuple[int, int]:
    if isinstance(value, list) and len(value) == 2:
        fewest, most = value
        if _is_count(fewest, 1) and _is_count(most, fewest):
            return fewest, most
    raise ValueError(f"allowed_steps must be [fewest, most] with 1 <= fewest <= most, got {value!r}")


def _range(value: object) -> tuple[float, float] | None:
    if value is None:
        return None
    if isinstance(value, list) and len(value) == 2:
        low, high = (_number("guidance_range", item) for item in value)
        if low is not None and high is not None and 0 <= low <= high:
            return low, high
    raise ValueError(f"guidance_range must be [least, most] with 0 <= least <= most, or null, got {value!r}")


def _number(name: str, value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} must be a number or null, got {value!r}")
    return float(value)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a text, got {value!r}")
    return value


def _names(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError(f"{name} must be a list of names, got {value!r}")
    return tuple(_text(name, item) for item in value)


def _vae_dtype(value: object) -> Literal["float32"] | None:
    if value is None or value == "float32":
        return None if value is None else "float32"
    raise ValueError(f"vae_dtype must be 'float32' or null, got {value!r}")


def _step_arguments(value: Mapping[str, object]) -> dict[int, dict[str, object]]:
    if wrong := [key for key in value if not key.isdecimal()]:
        raise ValueError(f"step_arguments[{wrong[0]!r}] must map a step count to an object")
    return {int(key): _mapping(f"step_arguments[{key!r}]", row) for key, row in value.items()}


def _size(name: str, value: object) -> int | None:
    if value is None or _is_count(value, 1):
        return value
    raise ValueError(f"{name} must be a positive integer or null, got {value!r}")


def _is_count(value: object, least: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
