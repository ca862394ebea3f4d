"""`bench doctor --weights` tried against each known mistake: another recipe beside the weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.cli import main
from methods.checkpoints import table
from methods.checkpoints.table import find
from methods.recipes import write_recipe
from tests.released.layouts import read_json, write_json
from tests.released.rows import Folders, small

Mistake = tuple[str, str, int, dict[str, Any], tuple[str, ...], tuple[str, ...]]
MISTAKES: dict[str, Mistake] = {
    # what went wrong: row, what the recipe beside the weights has instead, further options, what is told
    "turbo with plain Euler": ("add", "sdxl", 1, {"scheduler": "EulerDiscreteScheduler"}, (),
        ("scheduler", "without its own Euler steps on its own timesteps gives noise")),
    "turbo by leading spacing": ("add", "sdxl", 4, {"timestep_spacing": "leading"}, (),
        ("timestep_spacing", "leading", "expected 999, 749, 499, 249, actual 751, 501, 251, 1")),
    "turbo guided": ("add", "sdxl", 1, {}, ("--guidance-scale", "7.5"), ("guidance", "guidance is in the weights")),
    "turbo at another size": ("add", "sdxl", 1, {"height": 32, "width": 32}, (), ("size", "repeats objects or blurs")),
    "a negative prompt without guidance": ("add", "sdxl", 1, {"negative_prompt": "ugly"}, (),
        ("negative_prompt", "without guidance a negative prompt has no effect")),
    "LCM-LoRA at guidance 7": ("lcm-lora", "sdxl", 4, {}, ("--guidance-scale", "7"), ("blurs and burns above 2",)),
    "LCM-LoRA with SDXL's sampler": ("lcm-lora", "sdxl", 4, {"scheduler": "EulerDiscreteScheduler"}, (),
        ("scheduler", "gives a blur")),
    "LCM-LoRA at half scale": ("lcm-lora", "sdxl", 4, {"lora_scale": 0.5}, (), ("lora_scale", "is the distillation")),
    "LCM without its scale": ("lcm", "sdxl", 4, {}, ("--guidance-scale", "1"), ("was not distilled at this scale",)),
    "LCM guided twice": ("lcm", "sdxl", 4, {"guidance": "classifier-free"}, (),
        ("the UNet takes an embedded guidance scale",)),
    "x0-prediction read as noise": ("lightning", "sdxl", 1, {"prediction_type": "epsilon"}, (),
        ("prediction_type", "read as another quantity")),
    "the 4-step network at 3": ("dmd2", "sdxl", 3, {}, (), ("steps", "these weights are published for 4")),
    "DMD2 on LCM's own timesteps": ("dmd2", "sdxl", 4, {"timesteps": {}}, (),
        ("expected 999, 749, 499, 249, actual 999, 759, 499, 259",)),
    "DMD2's one step from 999": ("dmd2", "sdxl", 1, {"timesteps": {1: (999,)}}, (), ("expected 399, actual 999",)),
    "Hyper-SD's one step from 999": ("hyper-sd", "sdxl", 1, {"timesteps": {1: (999,)}}, (),
        ("expected 800, actual 999",)),
    "TCD without its noise": ("tcd", "sdxl", 4, {"arguments": {"eta": 0.0}}, (), ("eta", "another sampler")),
    "PCM with LCM's sampler": ("pcm", "sd15", 4, {"scheduler": "LCMScheduler"}, (), ("scheduler", "expected DDIM")),
    "PCM with a final alpha of one": ("pcm", "sd15", 4, {"set_alpha_to_one": True}, (), ("set_alpha_to_one",)),
    "InstaFlow as diffusion": ("instaflow", "sd15", 1, {"scheduler": "DDIMScheduler"}, (), ("reads it as noise",)),
    "PeRFlow with the other noise": ("perflow", "sd15", 8, {"prediction_type": "ddim_eps"}, (),
        ("prediction_type", "expected diff_eps, actual ddim_eps")),
    "SD 2.1 read as noise prediction": ("sd21", "sd21", 25, {"prediction_type": "epsilon"}, (), ("prediction_type",)),
    "SD 3.5 without its shift": ("ladd", "sd35", 4, {"shift": 1.0}, (), ("shift", "expected 3, actual 1")),
    "FLUX in float16": ("flux-schnell", "flux", 4, {}, ("--dtype", "float16"), ("overflow in float16: black images",)),
    "SANA's middle at one step": ("sana-sprint", "sana", 1,
        {"arguments": {"max_timesteps": 1.5708, "intermediate_timesteps": None},
         "step_arguments": {1: {"intermediate_timesteps": 1.3}}}, (), ("1 step", "cannot be looked at")),
}  # fmt: skip
FIELDS = ("scheduler", "height", "width", "negative_prompt", "lora_scale", "guidance", "timesteps", "arguments")


@pytest.fixture(autouse=True)
def _small_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tuple(small(row) if row.runs else row for row in table.all_rows())
    monkeypatch.setattr(table, "all_rows", lambda: rows)


def doctor(method: str, family: str, steps: int, folder: Path, *options: str) -> int:
    fixed = ("--methods", method, "--family", family, "--steps", str(steps), "--weights", f"{method}={folder}")
    return main(["doctor", *fixed, *options])


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_beside_the_weights_is_named(
    mistake: Mistake, folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    method, family, steps, changes, options, told = mistake
    row = find(method, family, steps)
    folder = folders.copy(row, tmp_path / "mine")
    own = {name: value for name, value in changes.items() if name in (*FIELDS, "step_arguments")}
    config = {name: value for name, value in changes.items() if name not in own}
    kept = {} if "scheduler" in own else row.recipe.scheduler_config
    write_recipe(folder, replace(row.recipe, **own, scheduler_config={**kept, **config}))
    assert doctor(method, family, steps, folder, *options) == 1
    out = capsys.readouterr().out
    for text in told:
        assert text in out
    assert "1 checkpoint looked at, 1 off their recipe" in out


@pytest.mark.parametrize(
    ("method", "family", "steps"),
    [("add", "sdxl", 4), ("lcm-lora", "sdxl", 4), ("tcd", "sdxl", 4), ("perflow", "sd15", 8)],
)
def test_the_right_recipe_passes(
    method: str, family: str, steps: int, folders: Folders, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor(method, family, steps, folders.folder(find(method, family, steps))) == 0
    assert "as its card asks" in capsys.readouterr().out


def test_a_decoder_that_stays_in_half_precision(
    folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = find("sdxl", "sdxl")
    folder = folders.copy(row, tmp_path / "mine")
    assert doctor("sdxl", "sdxl", 25, folder, "--dtype", "float16") == 0
    config = read_json(folder / "vae/config.json")
    write_json(folder / "vae/config.json", config | {"force_upcast": False})
    write_recipe(folder, replace(row.recipe, vae_dtype=None))
    capsys.readouterr()
    assert doctor("sdxl", "sdxl", 25, folder, "--dtype", "float16") == 1
    assert "SDXL's decoder overflows in float16: black images" in capsys.readouterr().out


def test_weights_that_cannot_be_loaded_are_one_line_in_their_place(
    folders: Folders, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor("add", "sdxl", 1, folders.folder(find("instaflow", "sd15"))) == 1
    out = capsys.readouterr().out
    assert "cannot be looked at" in out
    assert "a StableDiffusionPipeline cannot be used; a StableDiffusionXLPipeline is needed" in out
