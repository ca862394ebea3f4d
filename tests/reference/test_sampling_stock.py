"""The methods sample as stock diffusers does when a person sets it up by hand, and mean what diffusers means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from torch import Tensor

from methods.add import ADD
from methods.diffusion.noise import initial_noise
from methods.diffusion.schedule import Schedule
from methods.diffusion.timesteps import consistency_timesteps, trailing_timesteps
from methods.errors import FewstepError, UsageError
from methods.interface import Recipe, SampleRequest
from methods.lcm import LCM
from methods.pipelines import load_pipeline
from methods.recipes import write_recipe
from methods.sampling import PipelineMethod, to_uint8
from methods.sdxl import SDXL, SDXLDDIM, SDXLDPM, SDXLDPMpp, SDXLEuler, SDXLUniPC
from tests.tiny import TEACHER_SCHEDULER

CPU = {"device": torch.device("cpu"), "dtype": torch.float32}
REQUEST = SampleRequest(prompts=("a red circle", "a blue star"), seeds=(5, 6), num_inference_steps=2)
BY_HAND: dict[type[PipelineMethod], tuple[str, dict[str, Any], float]] = {
    SDXL: ("EulerDiscreteScheduler", {}, 5.0),
    SDXLEuler: ("EulerDiscreteScheduler", {}, 5.0),
    SDXLDDIM: ("DDIMScheduler", {"clip_sample": False}, 5.0),
    SDXLDPM: ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min"}, 5.0),
    SDXLDPMpp: ("DPMSolverMultistepScheduler", {}, 5.0),
    SDXLUniPC: ("UniPCMultistepScheduler", {}, 5.0),
    LCM: ("LCMScheduler", {}, 8.0),
    ADD: ("EulerAncestralDiscreteScheduler", {}, 0.0),
}


def _by_hand(folder: Path, scheduler: str, extra: dict[str, Any], guidance_scale: float) -> Tensor:
    pipe = StableDiffusionXLPipeline.from_pretrained(folder, add_watermarker=False)
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = getattr(diffusers, scheduler)(**TEACHER_SCHEDULER, **extra)
    pictures = pipe(
        list(REQUEST.prompts),
        num_inference_steps=REQUEST.num_inference_steps,
        guidance_scale=guidance_scale,
        generator=[torch.Generator().manual_seed(seed) for seed in REQUEST.seeds],
    ).images
    return torch.stack([torch.from_numpy(np.array(picture)).permute(2, 0, 1) for picture in pictures])


@pytest.mark.parametrize("kind", BY_HAND, ids=lambda kind: kind.info.name)
def test_same_images_as_diffusers_set_up_by_hand(
    kind: type[PipelineMethod], tiny_pipeline: Path, tiny_embedded_pipeline: Path
) -> None:
    folder = tiny_embedded_pipeline if kind is LCM else tiny_pipeline
    scheduler, extra, guidance_scale = BY_HAND[kind]
    images = kind.load(folder, **CPU).sample(REQUEST)
    assert torch.equal(images, _by_hand(folder, scheduler, extra, guidance_scale))
    assert not torch.equal(images, _by_hand(folder, scheduler, extra, guidance_scale + 2.0))


def _first_unet_input(method: PipelineMethod, request: SampleRequest) -> tuple[Tensor, dict[str, Any]]:
    seen: list[tuple[Tensor, dict[str, Any]]] = []

    def remember(module: torch.nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Any]) -> None:
        seen.append((args[0], {"timestep": args[1], **kwargs}))

    handle = method.components["denoiser"].register_forward_pre_hook(remember, with_kwargs=True)
    method.sample(request)
    handle.remove()
    return seen[0]


@pytest.mark.parametrize("kind", [SDXLEuler, SDXLDDIM, SDXLDPM, SDXLDPMpp, SDXLUniPC, ADD])
def test_all_methods_start_from_the_same_noise(kind: type[PipelineMethod], tiny_pipeline: Path) -> None:
    latents, _ = _first_unet_input(kind.load(tiny_pipeline, **CPU), REQUEST)
    noise = initial_noise(REQUEST.seeds, (8, 8, 8))
    # Euler scales the noise by a last sigma of 4,096 and back again, which loses 1 / 4,096^2 and float32 rounding
    assert torch.allclose(latents[-2:], noise, atol=1e-5)
    assert not torch.allclose(latents[-2:], initial_noise((6, 5), (8, 8, 8)), atol=1e-5)


def test_the_null_condition_is_zeros_and_time_ids_are_those_of_an_uncropped_image(tiny_pipeline: Path) -> None:
    _, seen = _first_unet_input(SDXL.load(tiny_pipeline, **CPU), REQUEST)
    embeds, added = seen["encoder_hidden_states"], seen["added_cond_kwargs"]
    assert not embeds[:2].any()
    assert embeds[2:].any()
    assert not added["text_embeds"][:2].any()
    assert added["time_ids"].tolist() == [[32, 32, 0, 0, 32, 32]] * 4


def test_without_guidance_nothing_is_doubled(tiny_pipeline: Path) -> None:
    latents, seen = _first_unet_input(SDXL.load(tiny_pipeline, **CPU), replace(REQUEST, guidance_scale=1.0))
    assert len(latents) == len(REQUEST.prompts)
    assert seen["encoder_hidden_states"].any()


@pytest.mark.parametrize("kind", [SDXL, ADD])
def test_guidance_of_zero_is_none_and_not_the_default(kind: type[PipelineMethod], tiny_pipeline: Path) -> None:
    method = kind.load(tiny_pipeline, **CPU)
    zero = method.sample(replace(REQUEST, guidance_scale=0.0))
    assert torch.equal(zero, method.sample(replace(REQUEST, guidance_scale=1.0)))
    assert torch.equal(zero, method.sample(REQUEST)) is (kind is ADD)


def test_embedded_guidance_of_zero_and_one_are_the_same_w(tiny_embedded_pipeline: Path) -> None:
    method = LCM.load(tiny_embedded_pipeline, **CPU)
    none = method.sample(replace(REQUEST, guidance_scale=0.0))
    assert torch.equal(none, method.sample(replace(REQUEST, guidance_scale=1.0)))
    assert not torch.equal(none, method.sample(REQUEST))


def test_timesteps_are_those_of_the_mathematics(tiny_pipeline: Path, tiny_embedded_pipeline: Path) -> None:
    for steps in (1, 2, 4):
        add, lcm = ADD.load(tiny_pipeline, **CPU), LCM.load(tiny_embedded_pipeline, **CPU)
        for method in (add, lcm):
            method.pipe.scheduler.set_timesteps(steps)
        assert [int(t) for t in add.pipe.scheduler.timesteps] == list(trailing_timesteps(steps))
        assert [int(t) for t in lcm.pipe.scheduler.timesteps] == list(consistency_timesteps(steps))


@pytest.mark.parametrize("kind", [SDXL, SDXLDDIM, SDXLDPM, SDXLDPMpp, SDXLUniPC, ADD])
def test_schedulers_keep_the_checkpoints_noise_schedule(kind: type[PipelineMethod], tiny_pipeline: Path) -> None:
    config = kind.load(tiny_pipeline, **CPU).pipe.scheduler.config
    assert {name: config[name] for name in TEACHER_SCHEDULER} == TEACHER_SCHEDULER
    assert Schedule.from_scheduler_config(config).zero_terminal_snr


@pytest.mark.parametrize("scheduler", ["UniPCMultistepScheduler", "EulerAncestralDiscreteScheduler", "LCMScheduler"])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_other_schedulers_are_finite_at_zero_terminal_snr(scheduler: str, steps: int, tiny_pipeline: Path) -> None:
    pipe = load_pipeline(tiny_pipeline, **CPU)
    method = SDXL(pipe, Recipe(scheduler=scheduler, guidance="classifier-free", guidance_scale=3.0))
    assert method.sample(replace(REQUEST, num_inference_steps=steps)).unique().numel() > 2


def test_explicit_timesteps_of_the_recipe_are_visited(tiny_embedded_pipeline: Path) -> None:
    pipe = load_pipeline(tiny_embedded_pipeline, **CPU)
    method = LCM(pipe, replace(LCM.default_recipe, timesteps={2: (999, 259)}))
    visited: list[int] = []
    hook = pipe.unet.register_forward_pre_hook(lambda module, args: visited.append(int(args[1])))
    method.sample(REQUEST)
    hook.remove()
    assert visited == [999, 259]
    assert visited != list(consistency_timesteps(2))


def test_the_recipe_in_the_folder_goes_before_the_default(copy_of_tiny: Any) -> None:
    folder = copy_of_tiny()
    recipe = Recipe(
        scheduler="DDIMScheduler",
        scheduler_config={"clip_sample": False},
        guidance="classifier-free",
        guidance_scale=2.0,
        allowed_steps=(1, 30),
    )
    write_recipe(folder, recipe)
    assert SDXL.load(folder, **CPU).recipe == recipe
    euler = SDXLEuler.load(folder, **CPU)
    assert type(euler.pipe.scheduler).__name__ == "EulerDiscreteScheduler"
    assert (euler.recipe.guidance_scale, euler.recipe.allowed_steps) == (2.0, (1, 30))
    assert "31 steps; this checkpoint is meant for 1 to 30" in str(
        euler.unsupported(replace(REQUEST, num_inference_steps=31))
    )


def test_a_step_count_that_diffusers_miscounts_is_not_supported(tiny_pipeline: Path) -> None:
    method = SDXLEuler.load(tiny_pipeline, **CPU)
    assert method.unsupported(replace(REQUEST, num_inference_steps=60)) is None
    assert "makes 62" in str(method.unsupported(replace(REQUEST, num_inference_steps=61)))


def test_reasons_name_what_is_wrong(tiny_pipeline: Path) -> None:
    method = ADD.load(tiny_pipeline, **CPU)
    assert "without guidance" in str(method.unsupported(replace(REQUEST, guidance_scale=7.5)))
    assert "meant for 1 to 4" in str(method.unsupported(replace(REQUEST, num_inference_steps=5)))
    assert "36 x 32 pixels" in str(method.unsupported(replace(REQUEST, height=36)))
    assert "2 prompts but 1 seeds" in str(method.unsupported(replace(REQUEST, seeds=(1,))))
    with pytest.raises(UsageError, match="add: 5 steps"):
        method.sample(replace(REQUEST, num_inference_steps=5))


def test_another_size_is_sampled_at_that_size(tiny_pipeline: Path) -> None:
    images = ADD.load(tiny_pipeline, **CPU).sample(replace(REQUEST, height=40, width=24))
    assert images.shape == (2, 3, 40, 24)


def test_rounding_is_to_the_nearest_level() -> None:
    levels = torch.arange(256)
    below = ((levels + 0.4) / 255).clamp(max=1.0).reshape(1, 1, 16, 16)
    assert torch.equal(to_uint8(below).flatten().int(), levels)
    above = ((levels[:-1] + 0.6) / 255).reshape(1, 1, 15, 17)
    assert torch.equal(to_uint8(above).flatten().int(), levels[1:])
    truncated = (above * 255).to(torch.uint8)
    assert not torch.equal(truncated.flatten().int(), levels[1:])


def test_bfloat16_images_are_widened_before_they_are_scaled() -> None:
    images = torch.linspace(0, 1, 100).to(torch.bfloat16).reshape(1, 1, 10, 10)
    assert torch.equal(to_uint8(images), to_uint8(images.float()))
    assert not torch.equal(to_uint8(images), (images * 255).round().to(torch.uint8))


def test_images_that_are_not_finite_are_an_error_and_not_black() -> None:
    with pytest.raises(FewstepError, match=r"not finite.*float32"):
        to_uint8(torch.tensor([[[[float("nan")]]]]))
