"""A whole training from a small SDXL folder: it resumes bit for bit, and stock diffusers loads what it leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from rich.console import Console
from safetensors.torch import load_file
from torch import Tensor

from bench.errors import FewstepError, UsageError
from bench.fullscale import train as training
from bench.fullscale.request import FullScale
from bench.fullscale.students import FullPrecisionVae
from bench.fullscale.teacher import load_features
from bench.fullscale.train import train_full_scale
from methods.add import ADD
from methods.interface import SampleRequest
from methods.lcm import LCM
from tests.fullscale.make import as_sdxl, write_dino, write_folder, write_shards

ROOT = Path(__file__).parents[2]


class Killed(Exception):
    """What a kill is to the process: it ends in the middle."""


@pytest.fixture(scope="module")
def request_add(tiny_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> FullScale:
    root = tmp_path_factory.mktemp("fullscale")
    return FullScale(
        method="add",
        teacher=str(as_sdxl(tiny_pipeline, root / "teacher")),
        data=write_folder(root / "data"),
        out=root / "out",
        resolution=64,
        batch_size=4,
        accumulation=2,
        steps=4,
        gradient_checkpointing=True,
        learning_rate=1e-3,
        features=str(write_dino(root / "dino")),
        seed=5,
        checkpoint_every=2,
    )


@pytest.fixture(scope="module")
def add_checkpoint(request_add: FullScale) -> Path:
    return train_full_scale(request_add, Console(stderr=True, quiet=True))


def unet(checkpoint: Path) -> dict[str, Tensor]:
    return load_file(checkpoint / "unet" / "diffusion_pytorch_model.safetensors")


def sampled(pipe: Any, steps: int, guidance_scale: float) -> Tensor:
    picture = pipe(
        "a red circle", num_inference_steps=steps, guidance_scale=guidance_scale, height=64, width=64,
        generator=[torch.Generator().manual_seed(9)],
    ).images[0]  # fmt: skip
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).int()


@pytest.mark.parametrize("steps", [1, 4])
def test_stock_diffusers_loads_it_and_samples_as_the_harness(add_checkpoint: Path, steps: int) -> None:
    pipe = StableDiffusionXLPipeline.from_pretrained(add_checkpoint, add_watermarker=False)
    pipe.set_progress_bar_config(disable=True)
    assert type(pipe.scheduler).__name__ == "EulerAncestralDiscreteScheduler"
    assert pipe.scheduler.config.prediction_type == "epsilon"
    stock = sampled(pipe, steps, 0.0)
    method = ADD.load(add_checkpoint, device=torch.device("cpu"), dtype=torch.float32)
    ours = method.sample(SampleRequest(("a red circle",), (9,), steps))[0].int()
    assert ours.shape == (3, 64, 64)
    assert int((stock - ours).abs().max()) <= 1


def test_the_student_learned_and_the_rest_is_the_teacher(add_checkpoint: Path, request_add: FullScale) -> None:
    teacher, student = Path(request_add.teacher), unet(add_checkpoint)
    before = unet(teacher)
    assert set(student) == set(before)
    assert all(value.isfinite().all() for value in student.values())
    assert any(not torch.equal(value, before[name]) for name, value in student.items())
    for part in ("vae/diffusion_pytorch_model", "text_encoder/model", "text_encoder_2/model"):
        mine, theirs = (load_file(folder / f"{part}.safetensors") for folder in (add_checkpoint, teacher))
        assert all(torch.equal(mine[name], theirs[name]) for name in theirs)


def test_what_made_it_lies_beside_it(add_checkpoint: Path, request_add: FullScale) -> None:
    made = json.loads((add_checkpoint / "made.json").read_text(encoding="utf-8"))
    assert made["steps"] == 4
    assert made["request"]["batch_size"] == 4
    assert made["recipe"]["distill_weight"] == 2.5
    assert (made["recipe"]["terminal_input"], made["recipe"]["teacher_guidance"]) == ("noise", 5.0)
    assert made["recipe"]["features"] == request_add.features
    config = made["history"][0]["config"]
    assert config["optimizer"] == config["optimizers"]["discriminator"] == "adamw"
    assert (config["learning_rate"], config["learning_rates"]) == (1e-3, {"discriminator": 1e-4})
    recipe = json.loads((add_checkpoint / "recipe.json").read_text(encoding="utf-8"))
    assert (recipe["height"], recipe["width"], recipe["allowed_steps"]) == (64, 64, [1, 4])
    stage = request_add.out / "add"
    assert [path.name for path in sorted(stage.glob("grid-*.png"))] == ["grid-000002.png", "grid-000004.png"]


def test_a_killed_training_resumes_bit_for_bit(
    add_checkpoint: Path, request_add: FullScale, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = replace(request_add, out=tmp_path / "out")
    quiet = Console(stderr=True, quiet=True)
    with monkeypatch.context() as patched:

        class KilledAtThree(training.Batches):
            def __call__(self, step: int) -> Any:
                if step == 3:
                    raise Killed
                return super().__call__(step)

        patched.setattr(training, "Batches", KilledAtThree)
        with pytest.raises(Killed):
            train_full_scale(again, quiet)
    assert not (tmp_path / "out/add/checkpoint").exists()
    resumed, whole = unet(train_full_scale(again, quiet)), unet(add_checkpoint)
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
    finished = (tmp_path / "out/add/checkpoint/made.json").stat().st_mtime_ns
    train_full_scale(again, quiet)
    assert (tmp_path / "out/add/checkpoint/made.json").stat().st_mtime_ns == finished, "it was trained again"


def test_the_seed_matters(add_checkpoint: Path, request_add: FullScale, tmp_path: Path) -> None:
    other = replace(request_add, out=tmp_path, seed=6, steps=1)
    with pytest.raises(UsageError, match=r"was begun with seed 5, not 6; give another --out"):
        train_full_scale(replace(request_add, seed=6), Console(quiet=True))
    same = replace(other, seed=5, out=tmp_path / "same")
    weights = [unet(train_full_scale(each, Console(quiet=True))) for each in (other, same)]
    assert any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_lcm_in_bfloat16_from_shards(request_add: FullScale, tmp_path: Path) -> None:
    asked = replace(
        request_add, method="lcm", data=write_shards(tmp_path / "shards"), out=tmp_path / "out", dtype="bfloat16",
        steps=2, learning_rate=None,
    )  # fmt: skip
    folder = train_full_scale(asked, Console(quiet=True))
    method = LCM.load(folder, device=torch.device("cpu"), dtype=torch.float32)
    ours = method.sample(SampleRequest(("a red circle",), (9,), 2))[0].int()
    pipe = StableDiffusionXLPipeline.from_pretrained(folder, add_watermarker=False)
    pipe.set_progress_bar_config(disable=True)
    assert type(pipe.scheduler).__name__ == "LCMScheduler"
    assert int((sampled(pipe, 2, 8.0) - ours).abs().max()) <= 1
    assert all(value.dtype == torch.float32 for value in unet(folder).values())


def test_add_in_bfloat16_with_the_schedule_of_the_embedded_teacher(
    request_add: FullScale, tiny_pipeline: Path, tmp_path: Path
) -> None:
    asked = replace(
        request_add, teacher=str(tiny_pipeline), out=tmp_path, dtype="bfloat16", steps=2, accumulation=1,
        gradient_checkpointing=False,
    )  # fmt: skip
    trained, teacher = unet(train_full_scale(asked, Console(quiet=True))), unet(tiny_pipeline)
    assert all(value.isfinite().all() and value.dtype == torch.float32 for value in trained.values())
    assert any(not torch.equal(value, teacher[name]) for name, value in trained.items())


@pytest.mark.slow  # two interpreters that each import everything
def test_accelerate_launch_takes_the_steps_of_one_process(
    add_checkpoint: Path, request_add: FullScale, tmp_path: Path
) -> None:
    options = {
        "--teacher": request_add.teacher, "--data": request_add.data, "--out": tmp_path, "--resolution": 64,
        "--batch-size": 4, "--steps": 4, "--learning-rate": 1e-3, "--features": request_add.features, "--seed": 5,
        "--checkpoint-every": 2,
    }  # fmt: skip
    # with --cpu accelerate asks for MPI; the launcher of several GPUs takes CPUs as well where it sees no GPU
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    command = [*launcher, "-m", "bench", "train", "add", *(str(part) for pair in options.items() for part in pair)]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    made = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines() == [str(tmp_path / "add/checkpoint")], "one process says where the checkpoint is"
    assert "a batch of 4 is 2 processes x 1 x 2" in made.stderr
    mine, theirs = unet(tmp_path / "add/checkpoint"), unet(add_checkpoint)
    before = unet(Path(request_add.teacher))
    moved = sum(float((theirs[name] - before[name]).square().sum()) for name in before) ** 0.5
    apart = sum(float((mine[name] - theirs[name]).square().sum()) for name in before) ** 0.5
    # two processes of one part each against one process of two parts: only the spectral norms, estimated a little
    # further by each pass, differ
    assert apart < 0.2 * moved


def test_a_broken_image_is_named_before_anything_is_trained(request_add: FullScale, tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data")
    (data / "image4.png").write_bytes(b"torn")
    with pytest.raises(FewstepError, match=r"image4\.png: not a readable image"):
        train_full_scale(replace(request_add, data=data, out=tmp_path / "out"), Console(quiet=True))
    assert not list((tmp_path / "out").rglob("*.csv"))


def test_a_teacher_that_is_not_there_or_a_student_is_refused(
    request_add: FullScale, tmp_path: Path, tiny_embedded_pipeline: Path
) -> None:
    with pytest.raises(FewstepError, match="not a folder"):
        train_full_scale(replace(request_add, teacher=str(tmp_path / "none"), out=tmp_path), Console(quiet=True))
    with pytest.raises(FewstepError, match=r"--teacher nobody/nothing: no such folder, and not to be had"):
        train_full_scale(replace(request_add, teacher="nobody/nothing", out=tmp_path), Console(quiet=True))
    embedded = replace(request_add, teacher=str(tiny_embedded_pipeline), out=tmp_path / "embedded")
    with pytest.raises(FewstepError, match="so it is a student"):
        train_full_scale(embedded, Console(quiet=True))


def test_features_see_the_published_preprocessing(request_add: FullScale) -> None:
    features = load_features(request_add.features)
    pixels = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalised = ((pixels / 2 + 0.5).permute(0, 2, 3, 1) - mean) / std
    expected = features.vit(normalised.permute(0, 3, 1, 2)).last_hidden_state[:, 0]
    assert torch.allclose(features(pixels)[1], expected, atol=1e-5)
    assert not torch.allclose(features.vit(pixels).last_hidden_state[:, 0], expected, atol=1e-2)
    assert features.depths == (0, 1, 2)
    larger = torch.zeros(1, 3, 256, 256, requires_grad=True)
    features(larger)[1][0, 0].backward()  # not their sum, which the layer norm at the end fixes
    assert larger.grad is not None
    assert bool((larger.grad != 0).any())
    assert all(p.grad is None for p in features.parameters())


def test_features_of_another_kind_are_refused(tiny_pipeline: Path, tmp_path: Path) -> None:
    with pytest.raises(FewstepError, match=r"a clip_text_model; a dinov2 is needed"):
        load_features(str(tiny_pipeline / "text_encoder"))
    with pytest.raises(FewstepError, match=r"--features .*nothing: cannot be loaded"):
        load_features(str(tmp_path / "nothing"))


def test_the_autoencoder_decodes_in_float32_whatever_is_cast(tiny_pipeline: Path) -> None:
    vae = StableDiffusionXLPipeline.from_pretrained(tiny_pipeline, add_watermarker=False).vae
    latents = torch.randn(1, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        full, cast = FullPrecisionVae(vae).decode(latents).sample, vae.decode(latents).sample
    assert full.dtype == torch.float32
    assert torch.equal(full, vae.decode(latents).sample.detach())
    assert not torch.equal(full, cast.float())
