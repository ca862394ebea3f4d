"""Every mistake that users of the released checkpoints made is seen, and named; the right recipe passes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

from methods.checkpoints.guard import Check, Settings, compare, planned, problems
from methods.checkpoints.table import Checkpoint, all_rows, find
from methods.errors import FewstepError, WeightsError
from methods.interface import SampleRequest
from methods.pipelines import check_call
from methods.released import load_released, relaxed, released_method, settings_of, settings_of_pipeline
from tests.released.layouts import SDXL_SCHEDULER, read_json, write_json
from tests.released.rows import Folders, name_of, small

CPU = torch.device("cpu")


def right(method: str, family: str, steps: int) -> tuple[Checkpoint, Settings]:
    row = find(method, family, steps)
    return row, planned(row.recipe, steps=steps)


def config(settings: Settings, **changes: Any) -> dict[str, Any]:
    return {"config": {**settings.config, **changes}}


MISTAKES: list[tuple[str, str, str, int, dict[str, Any], str, str]] = [
    # what went wrong, row, what was done, which setting says so, what it says
    ("diffusers issue 6112", "add", "sdxl", 1, {"scheduler": "EulerDiscreteScheduler"}, "scheduler", "noise"),
    ("turbo on leading spacing", "add", "sdxl", 4, {"timestep_spacing": "leading"}, "timestep_spacing", "noise"),
    ("turbo's timesteps by leading", "add", "sdxl", 4, {"timesteps": (751.0, 501.0, 251.0, 1.0)}, "timesteps",
     "trained at the expected timesteps"),
    ("turbo guided", "add", "sdxl", 1, {"guidance_scale": 7.5, "guidance": "classifier-free"}, "guidance_scale",
     "burns"),
    ("turbo at SDXL's size", "add", "sdxl", 1, {"height": 1024, "width": 1024}, "size", "repeats objects"),
    ("turbo at 25 steps", "add", "sdxl", 4, {"steps": 25}, "steps", "published for 1, 2, 4"),
    ("the demo's sampler is another", "add-demo", "sdxl", 4, {"scheduler": "EulerAncestralDiscreteScheduler"},
     "scheduler", "noise"),
    ("diffusers issue 5773: LCM-LoRA at 7", "lcm-lora", "sdxl", 4, {"guidance_scale": 7.0}, "guidance_scale",
     "blurs and burns above 2"),
    ("LCM-LoRA with SDXL's own sampler", "lcm-lora", "sdxl", 4, {"scheduler": "EulerDiscreteScheduler"}, "scheduler",
     "blur"),
    ("LCM-LoRA at half scale", "lcm-lora", "sdxl", 4, {"lora_scale": 0.5}, "lora_scale", "is the distillation"),
    ("LCM-LoRA forgotten", "lcm-lora", "sdxl", 4, {"lora_scale": None}, "lora_scale", "is the distillation"),
    ("LCM guided twice", "lcm", "sdxl", 4, {"guidance": "classifier-free"}, "guidance", "apply it twice"),
    ("LCM without its scale", "lcm", "sdxl", 4, {"guidance_scale": 1.0}, "guidance_scale", "not distilled at"),
    ("SDXL's VAE in half precision", "sdxl", "sdxl", 25, {"dtype": "float16", "vae_dtype": "float16"}, "vae_dtype",
     "black images"),
    ("FLUX in float16", "flux-schnell", "flux", 4, {"dtype": "float16"}, "dtype", "overflow"),
    ("x0-prediction read as noise", "lightning", "sdxl", 1, {"prediction_type": "epsilon"}, "prediction_type", "grey"),
    ("Lightning by leading spacing", "lightning", "sdxl", 4, {"timestep_spacing": "leading"}, "timestep_spacing",
     "SDXL-Lightning then gives noise"),
    ("the 4-step network at 8", "lightning", "sdxl", 4, {"steps": 8}, "steps", "published for 4"),
    ("DMD2 on LCM's own timesteps", "dmd2", "sdxl", 4, {"timesteps": (999.0, 759.0, 499.0, 259.0)}, "timesteps",
     "trained at the expected"),
    ("DMD2's one step from 999", "dmd2", "sdxl", 1, {"timesteps": (999.0,)}, "timesteps", "trained at the expected"),
    ("Hyper-SD's one step from 999", "hyper-sd", "sdxl", 1, {"timesteps": (999.0,)}, "timesteps", "trained at"),
    ("TCD without its noise", "tcd", "sdxl", 4, {"arguments": {"eta": 0.0}}, "eta", "another sampler"),
    ("PCM with LCM's sampler", "pcm", "sdxl", 4, {"scheduler": "LCMScheduler"}, "scheduler", "expected scheduler"),
    ("PCM with a final alpha of one", "pcm", "sdxl", 4, {"set_alpha_to_one": True}, "set_alpha_to_one", ""),
    ("InstaFlow as diffusion", "instaflow", "sd15", 1, {"scheduler": "PNDMScheduler"}, "scheduler",
     "reads it as noise"),
    ("PeRFlow with the other noise", "perflow", "sd15", 8, {"prediction_type": "ddim_eps"}, "prediction_type", "grey"),
    ("PeRFlow under three steps", "perflow", "sdxl", 4, {"steps": 3}, "steps", "published for 4, 6, 8"),
    ("SANA's middle at one step", "sana-sprint", "sana", 1, {"arguments": {"max_timesteps": 1.5708,
     "intermediate_timesteps": 1.3}}, "intermediate_timesteps", "two steps alone"),
    ("SD 3.5 without its shift", "ladd", "sd35", 4, {"shift": 1.0}, "shift", ""),
    ("a negative prompt without guidance", "add", "sdxl", 1, {"negative_prompt": "ugly"}, "negative_prompt",
     "has no effect"),
    ("SD 2.1 read as noise prediction", "sd21", "sd21", 25, {"prediction_type": "epsilon"}, "prediction_type", "grey"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "family", "steps", "change", "setting", "told"), [case[1:] for case in MISTAKES],
                         ids=[case[0] for case in MISTAKES])  # fmt: skip
def test_a_known_mistake_is_named(
    method: str, family: str, steps: int, change: dict[str, Any], setting: str, told: str
) -> None:
    row, settings = right(method, family, steps)
    assert problems(row, settings) == ()
    own = {name: value for name, value in change.items() if name in Settings.__dataclass_fields__}
    other = {name: value for name, value in change.items() if name not in own}
    wrong = replace(settings, **own, **(config(settings, **other) if other else {}))
    found = {check.name: check for check in problems(row, wrong)}
    assert setting in found
    assert told in (found[setting].mistake or "")
    assert f"{setting} is " in found[setting].line
    assert set(found) <= {setting, "steps", "timesteps", "guidance", "guidance_scale"}


@pytest.mark.parametrize("row", all_rows(), ids=name_of)
def test_each_recipe_passes_its_own_guard(row: Checkpoint) -> None:
    for steps in row.steps:
        assert problems(row, planned(row.recipe, steps=steps)) == ()
        assert problems(row, planned(row.recipe, steps=steps, dtype=row.dtype)) == ()


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_both_spellings_of_no_guidance_are_none(scale: float) -> None:
    row = find("add", "sdxl")
    assert problems(row, planned(row.recipe, steps=1, guidance_scale=scale)) == ()


def test_a_scale_inside_the_cards_range_passes() -> None:
    row = find("lcm-lora", "sdxl")
    assert problems(row, planned(row.recipe, steps=4, guidance_scale=2.0)) == ()
    assert [check.name for check in problems(row, planned(row.recipe, steps=4, guidance_scale=2.1))] == [
        "guidance_scale"
    ]
    base = find("sdxl", "sdxl")
    assert problems(base, planned(base.recipe, steps=25, guidance_scale=12.0)) == ()


def test_every_setting_of_the_issue_is_compared() -> None:
    row, settings = right("lcm-lora", "sdxl", 4)
    names = {check.name for check in compare(row, settings)}
    assert names >= {
        "steps", "scheduler", "original_inference_steps", "prediction_type", "timesteps", "guidance", "guidance_scale",
        "size", "dtype", "vae_dtype", "negative_prompt", "lora_scale",
    }  # fmt: skip
    assert "timestep_spacing" in {check.name for check in compare(*right("add", "sdxl", 4))}


def test_a_checks_line() -> None:
    assert Check("eta", "0.3", "0", False, "why").line == "eta is 0, the recipe has 0.3: why"
    assert Check("shift", "3", "1", False).line == "shift is 1, the recipe has 3"


class TestOnLoadedWeights:
    """The same, read off pipelines that were loaded."""

    def test_a_pipeline_with_its_bases_sampler(self, folders: Folders) -> None:
        row = small(find("lightning", "sdxl", 4))
        pipe = StableDiffusionXLPipeline.from_pretrained(folders.folder(row), add_watermarker=False)
        family = released_method(row).family
        size = {"height": int(row.recipe.height or 0), "width": int(row.recipe.width or 0)}
        seen = settings_of_pipeline(pipe, family, row.recipe, steps=4, guidance_scale=5.0, **size)
        found = {check.name: check for check in problems(row, seen)}
        assert set(found) == {"timestep_spacing", "timesteps", "guidance", "guidance_scale"}
        assert found["timesteps"].expected == "999, 749, 499, 249"
        assert found["timesteps"].actual == "751, 501, 251, 1"
        pipe.scheduler = EulerDiscreteScheduler.from_config(pipe.scheduler.config, timestep_spacing="trailing")
        seen = settings_of_pipeline(pipe, family, row.recipe, steps=4, guidance_scale=1.0, **size)
        assert problems(row, seen) == ()

    def test_a_half_precision_decoder_that_is_not_lifted(self, folders: Folders) -> None:
        row = small(find("sdxl", "sdxl", 25))
        method = load_released(row, folders.folder(row), device=CPU, dtype=torch.float16)
        request = SampleRequest(("",), (0,), 25)
        assert settings_of(method, request).vae_dtype == "float32"
        assert problems(row, settings_of(method, request)) == ()
        method.pipe.vae.register_to_config(force_upcast=False)
        (found,) = problems(row, settings_of(method, request))
        assert (found.name, found.actual) == ("vae_dtype", "float16")

    def test_the_networks_own_input_for_a_scale(self, folders: Folders) -> None:
        embedded, plain = small(find("lcm", "sdxl", 4)), small(find("add", "sdxl", 1))
        with pytest.raises(WeightsError, match="the UNet has no input for an embedded guidance scale"):
            load_released(embedded, folders.folder(plain), device=CPU, dtype=torch.float32)
        with pytest.raises(WeightsError, match="the UNet takes an embedded guidance scale"):
            load_released(plain, folders.folder(embedded), device=CPU, dtype=torch.float32)

    def test_another_family(self, folders: Folders) -> None:
        folder = folders.folder(find("instaflow", "sd15"))
        with pytest.raises(WeightsError, match="a StableDiffusionPipeline cannot be used; a StableDiffusionXLPipeline"):
            load_released(find("add", "sdxl"), folder, device=CPU, dtype=torch.float32)

    def test_the_authors_own_pipeline_class_is_not_needed(self, folders: Folders, tmp_path: Any) -> None:
        row = small(find("instaflow", "sd15"))
        folder = folders.copy(row, tmp_path / "copy")
        index = read_json(folder / "model_index.json")
        write_json(folder / "model_index.json", index | {"_class_name": "RectifiedFlowPipeline"})
        method = load_released(row, folder, device=CPU, dtype=torch.float32)
        assert type(method.pipe).__name__ == "StableDiffusionPipeline"
        assert method.pipe.safety_checker is None

    def test_an_argument_that_diffusers_renamed(self, folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
        row = small(find("tcd", "sdxl", 4))
        method = load_released(row, folders.folder(row), device=CPU, dtype=torch.float32)
        check_call(method.pipe, row.recipe)

        def renamed(self: Any, prompt: Any, generator: Any, height: int, width: int, num_inference_steps: int,
                    cfg_scale: float, eta: float, output_type: str, **kwargs: Any) -> None: ...  # fmt: skip

        monkeypatch.setattr(type(method.pipe), "__call__", renamed)
        with pytest.raises(FewstepError, match=r"takes no 'guidance_scale'; install the versions of constraints.txt"):
            check_call(method.pipe, row.recipe)

    def test_what_is_let_through(self, folders: Folders) -> None:
        row = small(find("add", "sdxl"))
        loose = relaxed(row.recipe, 7.5)
        assert (loose.allowed_steps, loose.guidance) == ((1, 1000), "classifier-free")
        assert relaxed(row.recipe, None).guidance == "none"
        strict = load_released(row, folders.folder(row), device=CPU, dtype=torch.float32)
        request = SampleRequest(("a red circle",), (0,), 6, 7.5)
        assert "meant for 1 to 4 (--allow-off-recipe tries it, marked)" in str(strict.unsupported(request))
        free = load_released(
            row, folders.folder(row), device=CPU, dtype=torch.float32, guidance_scale=7.5, off_recipe=True
        )
        assert free.unsupported(request) is None
        assert free.sample(request).shape[0] == 1
        assert {check.name for check in problems(row, settings_of(free, request))} >= {"steps", "guidance_scale"}


def test_the_fixtures_scheduler_is_sdxls() -> None:
    assert SDXL_SCHEDULER["timestep_spacing"] == "leading"
