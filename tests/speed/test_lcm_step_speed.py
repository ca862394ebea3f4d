"""A step of LCM beside one of diffusers' `train_lcm_distill_sdxl_wds.py`, in turns in one process.

Give the script's path in `FEWSTEP_LCM_PEER`; without it these are skipped. Both train the suite's teacher in its own
layout, with AdamW, the same batch, distance, range of w and width of the embedded w. Ours keeps one average more, the
student that ships.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from pytest_benchmark.fixture import BenchmarkFixture
from torch.utils.data import default_collate

from bench.suites.shapes.captions import captions
from bench.suites.shapes.render import render
from bench.suites.shapes.scenes import make_scenes
from bench.suites.shapes.suite import ShapesSuite
from bench.suites.shapes.training.students.common import denoiser
from bench.suites.shapes.training.students.lcm import LCM, LCM_GUIDANCE_EMBEDDING, LCM_RECIPE
from bench.suites.shapes.training.vae import to_unit_range
from methods.distill.denoiser import Condition
from methods.distill.guidance_input import with_guidance_input
from methods.distill.loop import TrainConfig, train
from methods.lcm.objective import LcmObjective
from tests.speed import peer

PEER = "FEWSTEP_LCM_PEER"
BATCH = LCM.batch_size
WARM_UP, ROUNDS = 1, 6
RATE, DECAY = 1e-4, 0.95


@pytest.fixture(scope="module")
def script() -> Path:
    if PEER not in os.environ:
        pytest.skip(f"{PEER} names no copy of diffusers' train_lcm_distill_sdxl_wds.py")
    return Path(os.environ[PEER])


@pytest.fixture(scope="module")
def folder() -> Path:
    return ShapesSuite().checkpoint("sdxl")


@pytest.fixture(scope="module")
def encoded(folder: Path) -> dict[str, Any]:
    """A batch in both forms: pictures with captions, and scaled latents with their condition."""
    scenes = make_scenes("train", range(BATCH))
    pipe = StableDiffusionXLPipeline.from_pretrained(folder, add_watermarker=False)
    pixels, texts = to_unit_range(render(scenes)), captions(scenes)
    with torch.no_grad():
        latents = pipe.vae.encode(pixels).latent_dist.mean * pipe.vae.config.scaling_factor
        embeds, _, pooled, _ = pipe.encode_prompt(texts, do_classifier_free_guidance=False)
    side = pixels.shape[-1]
    samples = [(image, text, (side, side), (0, 0)) for image, text in zip(pixels, texts, strict=True)]
    time_ids = torch.tensor([[side, side, 0, 0, side, side]], dtype=torch.float32).expand(BATCH, -1)
    ours = {"latents": latents, "condition": Condition(embeds, pooled, time_ids)}
    return {"theirs": tuple(default_collate(samples)), "ours": ours, "unet": pipe.unet}


def our_step(encoded: dict[str, Any]) -> Callable[[], object]:
    """One more step of our loop at every call."""
    torch.manual_seed(0)
    teacher = encoded["unet"].eval().requires_grad_(False)
    student = with_guidance_input(teacher, LCM_GUIDANCE_EMBEDDING)
    objective = LcmObjective(denoiser(student), denoiser(teacher), LCM_RECIPE)
    config = TrainConfig(steps=1000, batch_size=BATCH, learning_rate=RATE, ema_decay=LCM.ema_decay)
    loop = train(objective, lambda step: encoded["ours"], config)
    return lambda: next(loop)


def arguments(folder: Path, out: Path) -> list[str]:
    given = {
        "pretrained_teacher_model": folder,
        "output_dir": out,
        "resolution": 32,
        "train_batch_size": BATCH,
        "max_train_steps": WARM_UP + ROUNDS,
        "max_train_samples": BATCH * (WARM_UP + ROUNDS),
        "learning_rate": RATE,
        "loss_type": LCM_RECIPE.loss,
        "huber_c": LCM_RECIPE.huber_c,
        "w_min": LCM_RECIPE.w_min,
        "w_max": LCM_RECIPE.w_max,
        "num_ddim_timesteps": LCM_RECIPE.original_inference_steps,
        "unet_time_cond_proj_dim": LCM_GUIDANCE_EMBEDDING,
        "ema_decay": DECAY,
        "validation_steps": 10**9,
        "checkpointing_steps": 10**9,
        "mixed_precision": "no",
        "vae_encode_batch_size": 8,
        "seed": 0,
    }
    return [f"--{name}={value}" for name, value in given.items()] + ["--use_fix_crop_and_size"]


class Turns:
    """Called between their steps: closes theirs, takes one of ours, opens theirs."""

    def __init__(self, ours: Callable[[], object]) -> None:
        self.ours = ours
        self.seconds: dict[str, list[tuple[float, float]]] = {"theirs": [], "ours": []}
        self._opened: tuple[float, float] | None = None

    def __call__(self) -> None:
        if self._opened:
            self.seconds["theirs"].append(since(self._opened))
        start = now()
        self.ours()
        self.seconds["ours"].append(since(start))
        self._opened = now()

    def ratios(self) -> tuple[float, float]:
        """Theirs over ours, a median over rounds: wall, processor."""
        pairs = list(zip(self.seconds["theirs"], self.seconds["ours"], strict=False))[WARM_UP:]
        wall, processor = (statistics.median(theirs[k] / ours[k] for theirs, ours in pairs) for k in range(2))
        return wall, processor


def now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def since(start: tuple[float, float]) -> tuple[float, float]:
    wall, processor = now()
    return wall - start[0], processor - start[1]


@pytest.mark.parametrize("autocast", [True, False], ids=["as it is", "without autocast"])
@pytest.mark.parametrize("encodes", [True, False], ids=["with its encoders", "everything ready"])
def test_an_lcm_step_beside_that_of_diffusers(
    benchmark: BenchmarkFixture, script: Path, folder: Path, encoded: dict[str, Any], tmp_path: Path,
    autocast: bool, encodes: bool,
) -> None:  # fmt: skip
    condition: Condition = encoded["ours"]["condition"]
    tokens, width = condition.embeds.shape[1:]
    module = peer.load_script(
        script, tokens=tokens, width=width, pooled=condition.pooled.shape[1], autocast=autocast
    )  # fmt: skip
    turns = Turns(our_step(encoded))
    loader = peer.Loader([encoded["theirs"]] * (WARM_UP + ROUNDS), turns)
    if encodes:
        peer.run_main(module, loader, arguments(folder, tmp_path))
    else:
        with peer.everything_ready(module, encoded["ours"]["latents"], condition.embeds, condition.pooled):
            peer.run_main(module, loader, arguments(folder, tmp_path))
    wall, processor = turns.ratios()
    benchmark.extra_info |= {"diffusers_over_ours_wall": wall, "diffusers_over_ours_processor": processor}
    steps = {name: statistics.median(row[0] for row in rows[WARM_UP:]) for name, rows in turns.seconds.items()}
    text = ", ".join(f"{name} {seconds:.3f} s" for name, seconds in steps.items())
    print(f"{text}: {wall:.2f} times, of the processor {processor:.2f}", file=sys.stderr)  # noqa: T201
    benchmark.pedantic(turns.ours, rounds=1)
