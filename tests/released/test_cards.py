"""The harness's images are those of the code on the model cards, to the bit: stock diffusers, nothing of ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    EulerDiscreteScheduler,
    FluxPipeline,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    SanaSprintPipeline,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    TCDScheduler,
)
from torch import Tensor

from methods.checkpoints.table import find
from methods.interface import SampleRequest
from methods.released import load_released
from methods.sampling import to_uint8
from methods.weights import LORA
from tests.released.rows import Folders, small

PROMPTS, SEEDS = ("a red circle", "a blue square"), (3, 5)


def stock(kind: Any, folder: Path, *, lora: bool = False) -> Any:
    more: dict[str, Any] = {"add_watermarker": False} if kind is StableDiffusionXLPipeline else {}
    if kind in (StableDiffusionPipeline, LatentConsistencyModelPipeline):
        more = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    pipe = kind.from_pretrained(folder, use_safetensors=True, **more)
    pipe.set_progress_bar_config(disable=True)
    if lora:
        pipe.load_lora_weights(folder, weight_name=LORA)
        pipe.fuse_lora()
    return pipe


def trailing(kind: Any, **more: Any) -> Callable[[Any], Any]:
    return lambda pipe: kind.from_config(pipe.scheduler.config, timestep_spacing="trailing", **more)


def of(kind: Any, **more: Any) -> Callable[[Any], Any]:
    return lambda pipe: kind.from_config(pipe.scheduler.config, **more)


XL, SD = StableDiffusionXLPipeline, StableDiffusionPipeline
CARDS: dict[tuple[str, str, int], tuple[Any, Callable[[Any], Any] | None, dict[str, Any]]] = {
    ("add", "sdxl", 1): (XL, trailing(diffusers.EulerAncestralDiscreteScheduler), {"guidance_scale": 0.0}),
    ("add", "sd21", 2): (SD, None, {"guidance_scale": 0.0}),
    ("lightning", "sdxl", 4): (XL, trailing(EulerDiscreteScheduler), {"guidance_scale": 0}),
    ("lightning", "sdxl", 1): (XL, trailing(EulerDiscreteScheduler, prediction_type="sample"), {"guidance_scale": 0}),
    ("lightning-lora", "sdxl", 2): (XL, trailing(EulerDiscreteScheduler), {"guidance_scale": 0}),
    ("lcm", "sdxl", 4): (XL, of(LCMScheduler), {"guidance_scale": 8.0}),
    ("lcm", "sd15", 4): (LatentConsistencyModelPipeline, of(LCMScheduler), {"guidance_scale": 8.0}),
    ("lcm-lora", "sdxl", 4): (XL, of(LCMScheduler), {"guidance_scale": 0}),
    ("tcd", "sdxl", 4): (XL, of(TCDScheduler), {"guidance_scale": 0, "eta": 0.3}),
    ("pcm", "sd15", 4): (
        SD,
        trailing(DDIMScheduler, clip_sample=False, set_alpha_to_one=False),
        {"guidance_scale": 1.0},
    ),
    ("hyper-sd", "sdxl", 2): (XL, trailing(DDIMScheduler), {"guidance_scale": 0}),
    ("hyper-sd", "sd15", 1): (SD, of(TCDScheduler), {"guidance_scale": 0, "eta": 1.0}),
    ("hyper-sd", "sdxl", 1): (XL, of(LCMScheduler), {"guidance_scale": 0, "timesteps": [800]}),
    ("dmd2", "sdxl", 4): (XL, of(LCMScheduler), {"guidance_scale": 0, "timesteps": [999, 749, 499, 249]}),
    ("dmd2", "sdxl", 1): (XL, of(LCMScheduler), {"guidance_scale": 0, "timesteps": [399]}),
    ("ladd", "sd35", 4): (StableDiffusion3Pipeline, None, {"guidance_scale": 0.0}),
    ("flux-schnell", "flux", 4): (FluxPipeline, None, {"guidance_scale": 0.0, "max_sequence_length": 256}),
    ("sana-sprint", "sana", 2): (SanaSprintPipeline, None, {"use_resolution_binning": False}),
}
"""What each card writes: the pipeline, its scheduler, the arguments of the call."""


@pytest.mark.parametrize("card", CARDS, ids=lambda card: "-".join(str(part) for part in card))
def test_images_are_those_of_the_card(card: tuple[str, str, int], folders: Folders) -> None:
    method, family, steps = card
    kind, scheduler, arguments = CARDS[card]
    row = small(find(method, family, steps))
    folder = folders.folder(row)
    pipe = stock(kind, folder, lora=row.kind == "lora")
    if scheduler is not None:
        pipe.scheduler = scheduler(pipe)
    size = {"height": row.recipe.height, "width": row.recipe.width}
    theirs = call(pipe, steps, **size, **arguments)
    method_of_row = load_released(row, folder, device=torch.device("cpu"), dtype=torch.float32)
    ours = method_of_row.sample(SampleRequest(PROMPTS, SEEDS, steps))
    assert int((ours.int() - theirs.int()).abs().max()) <= 1  # sums in another order round to the next level


def test_another_scheduler_gives_other_images(folders: Folders) -> None:
    """The comparison above can fail: Lightning with SDXL base's own leading spacing."""
    row = small(find("lightning", "sdxl", 4))
    pipe = stock(XL, folders.folder(row))
    size = {"height": row.recipe.height, "width": row.recipe.width}
    theirs = call(pipe, 4, **size, guidance_scale=0)
    ours = load_released(row, folders.folder(row), device=torch.device("cpu"), dtype=torch.float32)
    assert not torch.equal(ours.sample(SampleRequest(PROMPTS, SEEDS, 4)), theirs)


def test_a_lora_scale_is_followed(folders: Folders) -> None:
    """Half a LoRA is neither the whole of it nor none."""
    row = small(find("tcd", "sdxl", 4))
    images = []
    for scale in (1.0, 0.5, 0.0):
        scaled = replace(row, recipe=replace(row.recipe, lora_scale=scale))
        method = load_released(scaled, folders.folder(row), device=torch.device("cpu"), dtype=torch.float32)
        images.append(method.sample(SampleRequest(PROMPTS, SEEDS, 4)))
    assert not torch.equal(images[0], images[1])
    assert not torch.equal(images[1], images[2])


def test_instaflow_is_one_step_of_the_authors_loop(folders: Folders) -> None:
    """`latents + v(latents, 1000)`, decoded; their pipeline class is not loaded for it."""
    row = small(find("instaflow", "sd15", 1))
    folder = folders.folder(row)
    pipe = stock(SD, folder)
    prompt, _ = pipe.encode_prompt(list(PROMPTS), "cpu", 1, False)
    side = int(row.recipe.height or 0) // pipe.vae_scale_factor
    generators = [torch.Generator().manual_seed(seed) for seed in SEEDS]
    latents = torch.cat([torch.randn(1, 4, side, side, generator=generator) for generator in generators])
    with torch.no_grad():
        velocity = pipe.unet(latents, torch.full((2,), 1000.0), encoder_hidden_states=prompt).sample
        decoded = pipe.vae.decode((latents + velocity) / pipe.vae.config.scaling_factor, return_dict=False)[0]
    theirs = to_uint8((decoded / 2 + 0.5).clamp(0, 1))
    method = load_released(row, folder, device=torch.device("cpu"), dtype=torch.float32)
    assert torch.equal(method.sample(SampleRequest(PROMPTS, SEEDS, 1)), theirs)


def call(pipe: Any, steps: int, **arguments: Any) -> Tensor:
    generators = [torch.Generator().manual_seed(seed) for seed in SEEDS]
    images = pipe(list(PROMPTS), num_inference_steps=steps, generator=generators, output_type="pt", **arguments).images
    return to_uint8(images)
