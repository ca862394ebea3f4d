"""The stages of progressive distillation, LCM-LoRA and the second base, from a random teacher to pipelines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, LCMScheduler, StableDiffusionXLPipeline
from rich.console import Console
from safetensors.torch import save_file
from torch import Tensor

from bench.errors import WeightsError
from bench.suites.shapes.captions import captions
from bench.suites.shapes.generator.networks import (
    LATENT_CHANNELS,
    LATENT_SIZE,
    make_text_encoders,
    make_unet,
    make_vae,
)
from bench.suites.shapes.generator.tokenizer import token_ids
from bench.suites.shapes.render import render
from bench.suites.shapes.scenes import WORLD, make_scenes
from bench.suites.shapes.suite import ShapesSuite
from bench.suites.shapes.training.eye import make_eye
from bench.suites.shapes.training.eye_clip import CaptionObjective
from bench.suites.shapes.training.eyes import kept_tensors
from bench.suites.shapes.training.pack import STUDENTS, assembled, students_that_fit
from bench.suites.shapes.training.stages import tokenizer
from bench.suites.shapes.training.students import common, lcm_lora, progressive, style
from bench.suites.shapes.training.teacher import Teacher
from bench.suites.shapes.zoo import LeftOut, Zoo, write_zoo
from bench.training.workshop import MADE, WEIGHTS, Workshop
from methods.hub.places import CACHE_VARIABLE
from methods.interface import SampleRequest
from methods.lcm import LCMLoRA
from methods.progressive import ProgressiveDistillation
from methods.registry import METHODS
from methods.sampling import PipelineMethod
from methods.weights import LORA, sha256

CPU = torch.device("cpu")
IMAGES = 64


def new_shop(folder: Path) -> Workshop:
    """A workshop with a random autoencoder and teacher, and random latents."""
    torch.manual_seed(0)
    shop = Workshop(folder, Console(quiet=True))
    words = tokenizer(shop)
    teacher = Teacher(*make_text_encoders(len(words), words.bos_token_id, words.eos_token_id), make_unet())
    shop.finish("vae", make_vae().state_dict(), {})
    shop.finish("teacher", teacher.state_dict(), {"scaling_factor": 1.0})
    tokens = token_ids(words, captions(make_scenes("train", range(IMAGES)))).short()
    latents = torch.randn(IMAGES, LATENT_CHANNELS, LATENT_SIZE, LATENT_SIZE).half()
    path = folder / f"latents-world{WORLD}-{sha256(shop.stage('vae') / WEIGHTS)[:12]}.safetensors"
    save_file({"latents": latents, "tokens": tokens}, path)
    return shop


def finish_eyes(shop: Workshop) -> None:
    """Random feature networks: the default one, and one with a text tower."""
    shop.finish("eye", make_eye().state_dict(), {})
    shop.finish("eye-clip", kept_tensors(CaptionObjective(make_eye(), tokenizer(shop)).network), {})


@pytest.fixture(scope="module")
def quick() -> Iterator[pytest.MonkeyPatch]:
    """Every training two steps of four images, every sheet two prompts."""
    with pytest.MonkeyPatch.context() as patch:
        short = {"steps": 2, "batch_size": 4, "warmup_steps": 1, "checkpoint_every": 1}
        patch.setattr(progressive, "PD", replace(progressive.PD, **short))
        patch.setattr(progressive, "PD_STEPS", {16: 2, 8: 2, 4: 1, 2: 1, 1: 1})
        patch.setattr(lcm_lora, "LCM_LORA", replace(lcm_lora.LCM_LORA, **short))
        patch.setattr(style, "STYLE", replace(style.STYLE, **short))
        patch.setattr(style, "_STYLE_STEPS", 2)
        patch.setattr(style, "_MEASURED_IMAGES", 4)
        patch.setattr(common, "_SAMPLES", 2)
        yield patch


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, quick: pytest.MonkeyPatch) -> Workshop:
    """Everything trained, without a stop."""
    shop = new_shop(tmp_path_factory.mktemp("shop"))
    for stage in (progressive.train_pd, lcm_lora.train_lcm_lora, style.train_style, style.show_plugged):
        stage(shop)
    return shop


@pytest.fixture(scope="module")
def zoo(shop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        yield written(shop, tmp_path_factory.mktemp("zoo"), float("inf"))


def written(shop: Workshop, folder: Path, limit: float) -> Zoo:
    """A zoo of the shared parts and the students that fit."""
    teacher = shop.weights("teacher")

    def part(name: str) -> dict[str, Tensor]:
        return {k.removeprefix(f"{name}."): v for k, v in teacher.items() if k.startswith(f"{name}.")}

    files: dict[str, Mapping[str, Tensor]] = {"vae": shop.weights("vae"), "teacher": part("unet")}
    files |= {name: part(name) for name in ("text_encoder", "text_encoder_2")}
    students, left_out = students_that_fit(shop, 0, limit)
    write_zoo(folder, {**files, **students}, {}, assembled(students), 1.0, left_out)
    return Zoo(folder)


def test_every_stage_is_finished_and_says_what_it_cost(shop: Workshop) -> None:
    for name in ("pd", "pd/32to16", "pd/16to8", "pd/8to4", "pd/4to2", "pd/2to1", "lcm-lora", "style"):
        assert shop.finished(name)
        made = json.loads((shop.stage(name) / MADE).read_text(encoding="utf-8"))
        assert made["seconds"] > 0
        assert name == "style" or made["teacher_evaluations"] == {"pd": 72, "pd/32to16": 32, "lcm-lora": 16}.get(
            name, made["images"] * 2
        )
    assert (shop.stage("pd/2to1") / "grid-000001.png").exists()
    assert (shop.stage("lcm-lora-style") / "grid.png").exists()


def test_a_round_starts_from_the_student_of_the_round_before(shop: Workshop) -> None:
    """A step of a warmed-up optimiser is short: the weights stay close to where they began."""
    rounds = [shop.weights(f"pd/{name}") for name in ("32to16", "16to8", "8to4")]
    near = [distance(rounds[0], rounds[1]), distance(rounds[1], rounds[2])]
    assert min(near) > 0
    assert max(near) < distance(rounds[0], rounds[2])


def distance(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    return float(sum((a[name] - b[name]).square().sum() for name in a)) ** 0.5


def test_rounds_stopped_within_and_between_go_on_bit_for_bit(
    shop: Workshop, quick: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stopped = new_shop(tmp_path)
    seen: list[int] = []

    class Stops(common.Conditioned):
        def __call__(self, step: int) -> Mapping[str, object]:
            seen.append(step)
            if len(seen) == 4:  # the second step of the second round
                raise KeyboardInterrupt
            return super().__call__(step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progressive, "Conditioned", Stops)
        with pytest.raises(KeyboardInterrupt):
            progressive.train_pd(stopped)
        first = (stopped.stage("pd/32to16") / MADE).stat().st_mtime_ns
        progressive.train_pd(stopped)
    assert seen == [0, 1, 0, 1, 1, 0, 0, 0]
    assert (stopped.stage("pd/32to16") / MADE).stat().st_mtime_ns == first
    for name in ("pd/32to16", "pd/16to8", "pd/2to1", "pd"):
        ours, whole = stopped.weights(name), shop.weights(name)
        assert all(torch.equal(ours[key], whole[key]) for key in whole)


def test_the_zoo_has_a_checkpoint_for_each_step_count_and_base(zoo: Zoo) -> None:
    assert set(zoo.checkpoints) == {"teacher", "lcm-lora", "lcm-lora-style", "pd-4", "pd-2", "pd-1", "style"}
    assert "lora" not in zoo.manifest["checkpoints"]["pd-4"]


@pytest.mark.parametrize(("name", "steps"), [("pd-4", 4), ("pd-1", 1), ("lcm-lora", 4), ("lcm-lora-style", 2)])
def test_stock_diffusers_gives_the_image_of_the_harness(zoo: Zoo, name: str, steps: int) -> None:
    kind: type[PipelineMethod] = ProgressiveDistillation if name.startswith("pd") else LCMLoRA
    folder = ShapesSuite(zoo).checkpoint(name)
    method = kind.load(folder, device=CPU, dtype=torch.float32)
    prompts = ("a red circle", "a green moon")
    ours = method.sample(SampleRequest(prompts=prompts, seeds=(0, 1), num_inference_steps=steps))

    pipe = StableDiffusionXLPipeline.from_pretrained(folder, add_watermarker=False)

    def stock() -> Tensor:
        generators = [torch.Generator().manual_seed(seed) for seed in range(2)]
        images = pipe(
            list(prompts), generator=generators, num_inference_steps=steps, guidance_scale=1.0, output_type="pt"
        ).images
        return (images * 255).round().int()

    if kind is LCMLoRA:
        pipe.load_lora_weights(folder, weight_name=LORA)
        pipe.scheduler = LCMScheduler.from_config(pipe.scheduler.config, clip_sample=False)
    else:
        pipe.scheduler = DDIMScheduler.from_config(
            pipe.scheduler.config, timestep_spacing="trailing", clip_sample=False
        )
    assert int((ours.int() - stock()).abs().max()) <= 1
    pipe.scheduler = LCMScheduler.from_config(pipe.scheduler.config, original_inference_steps=40, clip_sample=False)
    if kind is LCMLoRA:
        pipe.disable_lora()
    elif steps == 1:
        pipe.scheduler.config.prediction_type = "sample"
    assert int((ours.int() - stock()).abs().max()) > 1  # the comparison sees another sampler, or no LoRA


def test_a_step_count_has_its_own_checkpoint_and_others_are_told_so(zoo: Zoo) -> None:
    info = METHODS.load("pd").info
    assert [info.checkpoint(steps) for steps in (4, 2, 1, 8)] == ["pd-4", "pd-2", "pd-1", "pd-4"]
    assert LCMLoRA.info.checkpoint(8) == "lcm-lora"
    method = ProgressiveDistillation.load(zoo.pipeline(info.checkpoint(8)), device=CPU, dtype=torch.float32)
    request = SampleRequest(prompts=("a red circle",), seeds=(0,), num_inference_steps=8)
    assert method.unsupported(request) == "8 steps; this checkpoint is meant for 4 alone"
    assert method.unsupported(replace(request, num_inference_steps=4)) is None


def test_students_are_packed_in_order_while_there_is_room(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Add and LCM were not trained here; the LoRA and two of the UNets fit."""
    one = sum(tensor.numel() for tensor in shop.weights("style").values()) * 2
    fitting, left_out = students_that_fit(shop, 0, 2.9 * one)
    assert tuple(fitting) == tuple(name for name in STUDENTS if name in ("lcm-lora", "pd-4", "pd-2"))
    assert set(left_out) == {"pd-1", "style"}
    assert left_out["pd-1"] == LeftOut("pd", left_out["pd-1"].seconds)
    assert "lcm-lora-style" not in assembled(fitting)
    small = written(shop, tmp_path, 2.9 * one)
    with pytest.raises(
        WeightsError, match=r"no room for them; `python -m bench train pd zoo --no-limit` makes them in"
    ):
        small.pipeline("pd-1")
    with pytest.raises(WeightsError, match=r"shapes zoo; `python -m bench train lcm zoo` makes them"):
        small.pipeline("lcm")


def test_the_style_is_seen_at_a_glance() -> None:
    images = render(make_scenes("validation", range(32)))
    styled = style.restyle(images)
    assert styled.shape == images.shape
    assert styled.dtype == torch.uint8
    assert style.style_distance(styled) < 1  # rounding to levels
    assert style.style_distance(images) > 30
    brightness: Callable[[Tensor], Tensor] = lambda x: x.float().mean(dim=1).flatten()  # noqa: E731
    correlation = torch.corrcoef(torch.stack([brightness(images), brightness(styled)]))[0, 1]
    assert correlation > 0.8  # shapes and shading are kept
