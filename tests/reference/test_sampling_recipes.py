"""`recipe.json` is read strictly, and a recipe that does not fit its checkpoint is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from methods.add import ADD
from methods.errors import WeightsError
from methods.interface import Recipe
from methods.lcm import LCM
from methods.pipelines import make_scheduler
from methods.recipes import read_recipe, write_recipe
from methods.sdxl import SDXL
from tests.tiny import TEACHER_SCHEDULER

CPU = {"device": torch.device("cpu"), "dtype": torch.float32}
FULL = Recipe(
    scheduler="LCMScheduler",
    scheduler_config={"original_inference_steps": 25, "clip_sample": False},
    guidance="embedded",
    guidance_scale=7.5,
    timesteps={1: (999,), 2: (999, 499)},
    allowed_steps=(1, 8),
    height=32,
    width=64,
)


@pytest.mark.parametrize("recipe", [FULL, SDXL.default_recipe, LCM.default_recipe, ADD.default_recipe])
def test_what_is_written_is_read_back(recipe: Recipe, tmp_path: Path) -> None:
    write_recipe(tmp_path, recipe)
    assert read_recipe(tmp_path) == recipe
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.json"]


def test_no_file_is_no_recipe(tmp_path: Path) -> None:
    assert read_recipe(tmp_path) is None


def test_guidance_of_zero_is_stored_as_none(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text('{"scheduler": "X", "guidance_scale": 0.0}')
    recipe = read_recipe(tmp_path)
    assert recipe is not None
    assert recipe.guidance_scale == 1.0


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"schedular": "X"}, "unknown field 'schedular'; did you mean 'scheduler'?"),
    ({"scheduler": None}, "scheduler must be"),
    ({"scheduler": ""}, "scheduler must be"),
    ({"scheduler_config": []}, "scheduler_config must be an object"),
    ({"guidance": "cfg"}, "guidance must be one of none, classifier-free, embedded, got 'cfg'"),
    ({"guidance": "embedded", "guidance_scale": "7"}, "guidance_scale must be a number"),
    ({"guidance": "embedded", "guidance_scale": True}, "guidance_scale must be a number"),
    ({"guidance": "embedded", "guidance_scale": -1}, "guidance_scale must be"),
    ({"guidance": "none", "guidance_scale": 7.5}, "guidance is 'none'"),
    ({"timesteps": {"four": [1]}}, "timesteps['four']"),
    ({"timesteps": {"2": [999]}}, "must hold 2 timesteps"),
    ({"timesteps": {"2": [499, 999]}}, "noisiest first"),
    ({"timesteps": {"1": [0.5]}}, "integers"),
    ({"timesteps": {"1": [-1]}}, "integers"),
    ({"allowed_steps": [4, 1]}, "allowed_steps must be"),
    ({"allowed_steps": [0, 4]}, "allowed_steps must be"),
    ({"allowed_steps": 4}, "allowed_steps must be"),
    ({"height": 0}, "height must be"),
    ({"width": 32.0}, "width must be"),
]


@pytest.mark.parametrize(("change", "reason"), WRONG)
def test_a_wrong_field_is_named(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    good = {"scheduler": "EulerDiscreteScheduler"}
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(good))
    assert read_recipe(tmp_path) is not None
    path.write_text(json.dumps(good | change))
    with pytest.raises(WeightsError) as caught:
        read_recipe(tmp_path)
    assert reason in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_a_file_that_is_no_object_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(WeightsError, match="not a recipe"):
        read_recipe(tmp_path)


def test_a_recipe_that_would_not_be_read_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="allowed_steps"):
        write_recipe(tmp_path, Recipe(scheduler="X", allowed_steps=(3, 2)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("recipe", "config", "reason"),
    [
        (Recipe("EulerScheduler"), {}, "'EulerScheduler' is not a scheduler"),
        (Recipe("UNet2DConditionModel"), {}, "is not a scheduler"),
        (Recipe("DDIMScheduler", {"clip_samples": False}), {}, "'clip_samples', which DDIMScheduler does not take"),
        (Recipe("DDIMScheduler", {"timestep_spacing": "even"}), {}, "does not fit DDIMScheduler"),
        (Recipe("DDIMScheduler", timesteps={1: (999,)}), {}, "takes no explicit timesteps"),
        (Recipe("LCMScheduler", timesteps={1: (1000,)}), {}, "the schedule ends at 999"),
        (Recipe("DDIMScheduler"), {"prediction_type": "epsilon"}, "use prediction_type 'v_prediction'"),
        (Recipe("DDIMScheduler", {"prediction_type": "epsilon"}), {}, "zero terminal SNR"),
    ],
)
def test_a_recipe_that_diffusers_cannot_follow_is_refused(recipe: Recipe, config: dict[str, Any], reason: str) -> None:
    make_scheduler(TEACHER_SCHEDULER, Recipe("DDIMScheduler", {"clip_sample": False}))
    with pytest.raises(WeightsError) as caught:
        make_scheduler(TEACHER_SCHEDULER | config, recipe)
    assert reason in str(caught.value)


def test_noise_prediction_is_fine_where_the_last_timestep_has_signal() -> None:
    config = TEACHER_SCHEDULER | {"prediction_type": "epsilon", "rescale_betas_zero_snr": False}
    assert make_scheduler(config, Recipe("DDIMScheduler")).config.prediction_type == "epsilon"


def test_released_checkpoints_keep_their_own_schedule() -> None:
    """The configs of SDXL-Turbo and SDXL base as their authors publish them, with their keys of other schedulers."""
    released = {
        "_class_name": "EulerAncestralDiscreteScheduler",
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "clip_sample": False,
        "num_train_timesteps": 1000,
        "prediction_type": "epsilon",
        "set_alpha_to_one": False,
        "skip_prk_steps": True,
        "steps_offset": 1,
    }
    turbo = make_scheduler(released | {"timestep_spacing": "trailing"}, ADD.default_recipe)
    turbo.set_timesteps(4)
    assert [int(t) for t in turbo.timesteps] == [999, 749, 499, 249]
    base = make_scheduler(released | {"timestep_spacing": "leading"}, SDXL.default_recipe)
    base.set_timesteps(4)
    assert [int(t) for t in base.timesteps] == [751, 501, 251, 1]


def test_a_checkpoint_of_another_method_is_refused(tiny_pipeline: Path, tiny_embedded_pipeline: Path) -> None:
    with pytest.raises(WeightsError, match="has no input for an embedded guidance"):
        LCM.load(tiny_pipeline, **CPU)
    for kind in (SDXL, ADD):
        with pytest.raises(WeightsError, match="takes an embedded guidance"):
            kind.load(tiny_embedded_pipeline, **CPU)
