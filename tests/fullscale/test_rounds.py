"""LCM-LoRA and progressive distillation from a small SDXL folder: an adapter beside its base, and rounds in a chain."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionXLPipeline
from rich.console import Console
from safetensors.torch import load_file
from torch import Tensor

from bench.errors import UsageError
from bench.fullscale import students
from bench.fullscale import train as training
from bench.fullscale.request import METHODS, FullScale
from bench.fullscale.students import STUDENTS, Stage, pd_stages
from bench.fullscale.train import train_full_scale
from methods.interface import SampleRequest
from methods.lcm import LCMLoRA
from methods.progressive import ProgressiveDistillation
from methods.weights import LORA
from tests.fullscale.make import as_sdxl, write_folder

CPU = torch.device("cpu")
QUIET = Console(stderr=True, quiet=True)


class Killed(Exception):
    """What a kill is to the process: it ends in the middle."""


@pytest.fixture(scope="module")
def request_pd(tiny_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> FullScale:
    root = tmp_path_factory.mktemp("rounds")
    return FullScale(
        method="pd", teacher=str(as_sdxl(tiny_pipeline, root / "teacher")), data=write_folder(root / "data"),
        out=root / "out", resolution=64, batch_size=2, steps=2, learning_rate=1e-3, seed=5, checkpoint_every=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def two_rounds() -> Iterator[list[tuple[str, dict[str, Tensor]]]]:
    """From four steps to two to one; what each round's teacher was is kept."""
    taught: list[tuple[str, dict[str, Tensor]]] = []

    def noted(stage: Stage) -> Stage:
        def make(pipe: Any, request: FullScale, frozen: torch.dtype) -> Any:
            taught.append((stage.name, {name: value.clone() for name, value in pipe.unet.state_dict().items()}))
            return stage.make(pipe, request, frozen)

        return replace(stage, make=make)

    stages = tuple(noted(stage) for stage in pd_stages(replace(students.PD_RECIPE, first_steps=4)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(STUDENTS, "pd", stages)
        yield taught


@pytest.fixture(scope="module")
def pd(request_pd: FullScale, two_rounds: list[tuple[str, dict[str, Tensor]]]) -> Path:
    return train_full_scale(request_pd, QUIET)


@pytest.fixture(scope="module")
def lora(request_pd: FullScale) -> Path:
    return train_full_scale(replace(request_pd, method="lcm-lora", learning_rate=3e-2, accumulation=2), QUIET)


def unet(checkpoint: Path | str) -> dict[str, Tensor]:
    return load_file(Path(checkpoint) / "unet" / "diffusion_pytorch_model.safetensors")


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return set(a) == set(b) and all(torch.equal(a[name], b[name]) for name in a)


def stock(folder: Path | str) -> Any:
    pipe = StableDiffusionXLPipeline.from_pretrained(folder, add_watermarker=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def sampled(pipe: Any, steps: int) -> Tensor:
    picture = pipe(
        "a red circle", num_inference_steps=steps, guidance_scale=1.0, height=64, width=64,
        generator=[torch.Generator().manual_seed(9)],
    ).images[0]  # fmt: skip
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).int()


def test_every_method_has_its_trainings() -> None:
    assert tuple(STUDENTS) == METHODS
    names = [stage.name for stage in pd_stages(students.PD_RECIPE)]
    assert names == ["pd/32to16", "pd/16to8", "pd/8to4", "pd/4to2", "pd/2to1"]


@pytest.mark.parametrize("steps", [1, 4])
def test_stock_diffusers_loads_the_lora_and_samples_as_the_harness(lora: Path, steps: int) -> None:
    pipe = stock(lora)
    assert type(pipe.scheduler).__name__ == "LCMScheduler"
    without = sampled(pipe, steps)
    pipe.load_lora_weights(lora, weight_name=LORA)
    adapted = sampled(pipe, steps)
    method = LCMLoRA.load(lora, device=CPU, dtype=torch.float32)
    ours = method.sample(SampleRequest(("a red circle",), (9,), steps))[0].int()
    assert int((adapted - ours).abs().max()) <= 1
    assert int((adapted - without).abs().max()) > 1


def test_the_lora_plugs_into_the_teacher_itself(lora: Path, request_pd: FullScale) -> None:
    assert same(unet(lora), unet(request_pd.teacher)), "the base is the teacher, untouched"
    pipe = stock(request_pd.teacher)
    base = sampled(pipe, 2)
    pipe.load_lora_weights(lora, weight_name=LORA)
    assert int((sampled(pipe, 2) - base).abs().max()) > 1


def test_what_the_lora_was_made_by_lies_beside_it(lora: Path) -> None:
    made = json.loads((lora / "made.json").read_text(encoding="utf-8"))
    assert (made["rank"], made["recipe"]["w_min"], made["recipe"]["w_max"]) == (64, 7.5, 7.5)
    assert sorted(path.name for path in lora.parent.glob("grid-*.png")) == ["grid-000001.png", "grid-000002.png"]


def test_a_lora_in_bfloat16_learns_in_float32(request_pd: FullScale, tmp_path: Path) -> None:
    asked = replace(request_pd, method="lcm-lora", out=tmp_path, dtype="bfloat16", gradient_checkpointing=True)
    folder = train_full_scale(asked, QUIET)
    adapter = load_file(folder / LORA)
    assert all(value.dtype == torch.float32 and value.isfinite().all() for value in adapter.values())
    assert any(bool(value.any()) for name, value in adapter.items() if "lora_B" in name)
    assert same(unet(folder), unet(request_pd.teacher)), "the base on disk is not rounded"


def test_each_round_is_taught_by_the_student_of_the_one_before(
    pd: Path, request_pd: FullScale, two_rounds: list[tuple[str, dict[str, Tensor]]]
) -> None:
    assert pd == request_pd.out / "pd/2to1/checkpoint"
    first = request_pd.out / "pd/4to2/checkpoint"
    assert [name for name, _ in two_rounds[:2]] == ["pd/4to2", "pd/2to1"]
    assert same(two_rounds[0][1], unet(request_pd.teacher))
    assert same(two_rounds[1][1], unet(first))
    assert not same(unet(first), unet(request_pd.teacher))
    assert not same(unet(pd), unet(first))


@pytest.mark.parametrize(("name", "steps"), [("4to2", 2), ("2to1", 1)])
def test_each_round_is_sampled_at_its_own_steps(pd: Path, request_pd: FullScale, name: str, steps: int) -> None:
    folder = request_pd.out / "pd" / name / "checkpoint"
    pipe = stock(folder)
    assert isinstance(pipe.scheduler, DDIMScheduler)
    assert (pipe.scheduler.config.timestep_spacing, pipe.scheduler.config.prediction_type) == ("trailing", "epsilon")
    method = ProgressiveDistillation.load(folder, device=CPU, dtype=torch.float32)
    ours = method.sample(SampleRequest(("a red circle",), (9,), steps))[0].int()
    assert int((sampled(pipe, steps) - ours).abs().max()) <= 1
    assert method.unsupported(SampleRequest(("a red circle",), (9,), steps + 1)) is not None


def test_rounds_resume_where_they_were_killed(
    pd: Path, request_pd: FullScale, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = replace(request_pd, out=tmp_path / "out")
    with monkeypatch.context() as patched:
        calls = 0

        class KilledInTheSecond(training.Batches):
            def __call__(self, step: int) -> Any:
                nonlocal calls
                calls += 1
                if calls == 4:
                    raise Killed
                return super().__call__(step)

        patched.setattr(training, "Batches", KilledInTheSecond)
        with pytest.raises(Killed):
            train_full_scale(again, QUIET)
    first = again.out / "pd/4to2/checkpoint/made.json"
    finished = first.stat().st_mtime_ns
    assert same(unet(train_full_scale(again, QUIET)), unet(pd))
    assert first.stat().st_mtime_ns == finished, "a finished round was trained again"


def test_the_length_of_finished_rounds_is_not_changed(pd: Path, request_pd: FullScale) -> None:
    with pytest.raises(UsageError, match="was begun with steps 2, not 3; give another --out"):
        train_full_scale(replace(request_pd, steps=3), QUIET)
