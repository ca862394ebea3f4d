"""The harness on a stock SDXL pipeline of random weights: hooks see its parts, and images are the bare pipeline's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from PIL import Image

from bench.api import evaluate
from bench.judging import image_seed
from bench.probe import HostClock, time_sample
from bench.record import Record, read_records
from methods.interface import SampleRequest
from methods.names import NameTable
from methods.sdxl import SDXLEuler
from tests.harness.fakes import Control

STEPS = 2


@pytest.fixture
def euler(
    toy: Control, bench: Callable[..., int], out: Path, tiny_pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> Record:
    """The record of a run of the stock pipeline, six prompts in slices of five and one."""
    import methods.registry

    assert toy.weights is not None
    (toy.weights / "sdxl-euler").symlink_to(tiny_pipeline, target_is_directory=True)
    table = NameTable("method", {"sdxl-euler": ("methods.sdxl:SDXLEuler", "stock")}, "fewstep.tests.none")
    monkeypatch.setattr(methods.registry, "METHODS", table)
    assert bench("--methods", "sdxl-euler", "--steps", str(STEPS), "--limit", "6") == 0
    (record,) = read_records(out / "records")
    return record


def test_guidance_doubles_the_evaluations_and_parts_sum_to_the_total(euler: Record) -> None:
    nfe = euler.quantity("nfe")
    assert nfe is not None
    assert nfe.value == 2 * STEPS
    parts = [name for name in euler.samples if name.startswith("latency_") and name != "latency_s"]
    assert set(parts) == {f"latency_{part}_s" for part in ("text_encoder", "denoiser", "scheduler", "decoder", "host")}
    for index, total in enumerate(euler.samples["latency_s"]):
        values = [euler.samples[name][index] for name in parts]
        assert sum(values) == pytest.approx(total, rel=1e-9)  # rounding of a sum of four
        assert all(value > 0 for value in values)


def test_calls_of_each_part(tiny_pipeline: Path) -> None:
    method = SDXLEuler.load(tiny_pipeline, device=torch.device("cpu"), dtype=torch.float32)
    guided = time_sample(method, SampleRequest(("a red circle",), (0,), 1, 5.0), HostClock())
    plain = time_sample(method, SampleRequest(("a red circle",), (0,), 1, 1.0), HostClock())
    assert guided.calls["denoiser"] == plain.calls["denoiser"] == 1  # one call, of two rows or of one
    assert (guided.evaluations, plain.evaluations) == (2, 1)
    assert plain.calls["decoder"] == 1
    assert plain.calls["text_encoder"] == 2  # both encoders are one part


def test_images_are_those_of_a_bare_pipeline(euler: Record, tiny_pipeline: Path, out: Path) -> None:
    pipe = StableDiffusionXLPipeline.from_pretrained(tiny_pipeline, add_watermarker=False)
    pipe.set_progress_bar_config(disable=True)
    for indices in ([0, 1, 2, 3, 4], [5]):
        images = pipe(
            [f"prompt {index}" for index in indices],
            generator=[torch.Generator().manual_seed(image_seed(0, index)) for index in indices],
            num_inference_steps=STEPS,
            guidance_scale=5.0,
        ).images
        for index, image in zip(indices, images, strict=True):
            stored = np.array(Image.open(out / "images" / euler.cell.name / f"{index:05}.png"))
            assert np.array_equal(stored, np.array(image))  # the same slice, so to the bit


def test_a_pipeline_in_a_notebook(euler: Record, tiny_pipeline: Path) -> None:
    pipe = StableDiffusionXLPipeline.from_pretrained(tiny_pipeline, add_watermarker=False)
    pipe.set_progress_bar_config(disable=True)
    options = {"suite": "toy", "steps": [STEPS], "limit": 6, "batch_size": 5, "metrics": ["brightness"]}
    value = {scale: _brightness(evaluate(pipe, guidance_scale=scale, **options)) for scale in (None, 1.0, 5.0)}
    stored = euler.quantity("brightness")
    assert stored is not None
    assert value[5.0] == stored.value
    assert value[None] == value[1.0] != value[5.0]


def _brightness(frame: object) -> float:
    return float(frame[frame["quantity"] == "brightness"]["value"].item())  # type: ignore[index]
