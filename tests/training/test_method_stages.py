"""Every further method as a stage: trained from a random teacher, stopped, resumed, counted, packed, sampled stock."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, LCMScheduler, StableDiffusionXLPipeline
from torch import Tensor, nn

from bench.suites.shapes.suite import ShapesSuite
from bench.suites.shapes.training.command import STAGES
from bench.suites.shapes.training.students import cfg_aware, common, dmd2, gan, gd, instaflow, pairs, start, ufogen
from bench.suites.shapes.training.students.lcm import LCM
from bench.suites.shapes.zoo import Zoo
from bench.training.workshop import MADE, Workshop
from methods.gan import StyleGAN
from methods.gan.pipeline import GanPipeline
from methods.hub.places import CACHE_VARIABLE
from methods.interface import SampleRequest
from methods.registry import METHODS
from methods.sampling import PipelineMethod
from tests.training.test_student_stages import finish_eyes, new_shop, written

CPU = torch.device("cpu")
BATCH = 4
SHORT: dict[str, Any] = {"steps": 3, "batch_size": BATCH, "warmup_steps": 1, "checkpoint_every": 1}
MODULES: Mapping[str, Any] = {
    "start": start,
    "gd": gd,
    "dmd2-4": dmd2,
    "dmd2-1": dmd2,
    "instaflow": instaflow,
    "cfg-aware": cfg_aware,
    "ufogen": ufogen,
    "gan": gan,
}
"""Stage -> the module that trains it."""


@pytest.fixture(scope="module")
def quick() -> Iterator[pytest.MonkeyPatch]:
    """Every training three steps of four images, every sheet two prompts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(start, "START", replace(start.START, **SHORT))
        patch.setattr(gd, "GD", replace(gd.GD, **SHORT))
        patch.setattr(dmd2, "DMD2_TRAINING", {n: replace(c, **SHORT) for n, c in dmd2.DMD2_TRAINING.items()})
        few = replace(instaflow.INSTAFLOW_RECIPE, pairs=20, teacher_steps=2, flow_steps=2)
        patch.setattr(instaflow, "INSTAFLOW_RECIPE", few)
        patch.setattr(instaflow, "REFLOW", replace(instaflow.REFLOW, **SHORT))
        patch.setattr(instaflow, "DISTILL", replace(instaflow.DISTILL, **SHORT))
        patch.setattr(pairs, "PART", 8)
        patch.setattr(gan, "GAN", replace(gan.GAN, **SHORT))
        patch.setattr(gan, "_SAMPLES", 2)
        patch.setattr(ufogen, "UFOGEN", replace(ufogen.UFOGEN, **SHORT))
        patch.setattr(ufogen, "UFOGEN_RECIPE", replace(ufogen.UFOGEN_RECIPE, discriminator_lead=1))
        patch.setattr(cfg_aware, "CFG_AWARE", replace(cfg_aware.CFG_AWARE, **SHORT))
        patch.setattr(common, "_SAMPLES", 2)
        yield patch


def shop_with_eye(folder: Path) -> Workshop:
    """A workshop with a random autoencoder, teacher, feature network for the discriminator, and guide of the GAN."""
    shop = new_shop(folder)
    finish_eyes(shop)
    return shop


def counting(module: Any, rows: list[int]) -> Callable[[Workshop], Any]:
    """`load_teacher` of a module, with every row that the teacher's UNet sees counted."""
    load = module.load_teacher

    def loaded(shop: Workshop) -> Any:
        teacher = load(shop)

        def count(unet: nn.Module, args: tuple[Tensor, ...]) -> None:
            if unet is teacher.unet:  # not a copy of it
                rows.append(len(args[0]))

        teacher.unet.register_forward_pre_hook(count)
        return teacher

    return loaded


@pytest.fixture(scope="module")
def evaluations() -> dict[str, int]:
    return {}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, quick: pytest.MonkeyPatch, evaluations: dict[str, int]) -> Workshop:
    """Everything trained, without a stop."""
    shop = shop_with_eye(tmp_path_factory.mktemp("shop"))
    for name, module in MODULES.items():
        rows: list[int] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "load_teacher", counting(module, rows))
            STAGES[name].train(shop)
        evaluations[name] = sum(rows)
    return shop


@pytest.fixture(scope="module")
def zoo(shop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        yield written(shop, tmp_path_factory.mktemp("zoo"), float("inf"))


def note(shop: Workshop, name: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads((shop.stage(name) / MADE).read_text(encoding="utf-8"))
    return made


@pytest.mark.parametrize("name", MODULES)
def test_a_stage_says_what_it_cost(shop: Workshop, evaluations: dict[str, int], name: str) -> None:
    """The teacher's evaluations of the note are those that a hook on the teacher counted, its start's included."""
    made = note(shop, name)
    assert made["seconds"] > 0
    assert made["recipe"]
    of_flow = instaflow.INSTAFLOW_RECIPE.pairs * instaflow.INSTAFLOW_RECIPE.flow_steps if name == "instaflow" else 0
    before = evaluations["start"] if "start" in STAGES[name].needs else 0
    assert made["teacher_evaluations"] == before + evaluations[name] + of_flow
    assert made["images"] % BATCH == 0
    assert list(shop.stage(name).glob("grid-*.png"))


QUICK = ("dmd2-4", "instaflow")
"""Networks on two time scales; a stage of several parts. The others are stopped and resumed where slow tests are."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in MODULES]
)
def test_a_stage_that_was_stopped_goes_on_bit_for_bit(
    shop: Workshop, quick: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    stopped = shop_with_eye(tmp_path)
    module = MODULES[name]
    if "start" in STAGES[name].needs:
        STAGES["start"].train(stopped)
    seen: list[int] = []

    reader = "PairBatches" if hasattr(module, "PairBatches") else "Conditioned"
    kind: Any = getattr(module, reader)

    class Stops(kind):  # type: ignore[misc]
        def __call__(self, step: int) -> Mapping[str, object]:
            seen.append(step)
            if len(seen) == 3:
                raise KeyboardInterrupt
            batch: Mapping[str, object] = super().__call__(step)
            return batch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, reader, Stops)
        with pytest.raises(KeyboardInterrupt):
            STAGES[name].train(stopped)
        STAGES[name].train(stopped)
    assert seen[:4] == [0, 1, 2, 2]
    ours, whole = stopped.weights(name), shop.weights(name)
    assert all(torch.equal(ours[key], whole[key]) for key in whole)


STOCK: Mapping[str, tuple[int, float, Callable[[Any], Any]]] = {
    "gd": (
        4,
        2.5,
        lambda config: DDIMScheduler.from_config(config, timestep_spacing="trailing", clip_sample=False),
    ),
    "cfg-aware": (
        8,
        2.5,
        lambda config: DDIMScheduler.from_config(config, timestep_spacing="trailing", clip_sample=False),
    ),
    "dmd2-4": (4, 1.0, lambda config: LCMScheduler.from_config(config, original_inference_steps=1000)),
    "dmd2-1": (1, 1.0, lambda config: LCMScheduler.from_config(config, original_inference_steps=1000)),
    "ufogen": (1, 1.0, lambda config: LCMScheduler.from_config(config, original_inference_steps=1000)),
    "instaflow": (
        1,
        1.0,
        lambda config: DPMSolverMultistepScheduler.from_config(
            {"prediction_type": "flow_prediction", **config} | {"use_flow_sigmas": True, "solver_order": 1}
        ),
    ),
}
"""Checkpoint -> its steps, guidance scale and sampler, as anyone would set up stock diffusers."""


@pytest.mark.parametrize("name", STOCK)
def test_stock_diffusers_gives_the_image_of_the_harness(zoo: Zoo, name: str) -> None:
    steps, scale, scheduler = STOCK[name]
    method_name = name.rsplit("-", 1)[0] if name[-1].isdigit() else name
    kind: type[PipelineMethod] = METHODS.load(method_name)
    assert kind.info.checkpoint(steps) == name
    folder = ShapesSuite(zoo).checkpoint(name)
    prompts = ("a red circle", "a green moon")
    method = kind.load(folder, device=CPU, dtype=torch.float32)
    ours = method.sample(SampleRequest(prompts=prompts, seeds=(0, 1), num_inference_steps=steps))
    pipe = StableDiffusionXLPipeline.from_pretrained(folder, add_watermarker=False)

    def stock() -> Tensor:
        generators = [torch.Generator().manual_seed(seed) for seed in range(2)]
        images = pipe(
            list(prompts), generator=generators, num_inference_steps=steps, guidance_scale=scale, output_type="pt"
        ).images
        return (images * 255).round().int()

    own = {name: value for name, value in pipe.scheduler.config.items() if name != "prediction_type"}
    predicts = {} if name == "instaflow" else {"prediction_type": "v_prediction"}
    pipe.scheduler = scheduler({**own, **predicts, "clip_sample": False})
    assert int((ours.int() - stock()).abs().max()) <= 1
    pipe.scheduler = scheduler({**own, "clip_sample": False, "prediction_type": "sample"})
    assert int((ours.int() - stock()).abs().max()) > 1  # the comparison sees another reading of the weights


def test_the_gan_is_a_pipeline_of_its_own(zoo: Zoo) -> None:
    folder = ShapesSuite(zoo).checkpoint("gan")
    method = StyleGAN.load(folder, device=CPU, dtype=torch.float32)
    prompts = ("a red circle", "a green moon")
    ours = method.sample(SampleRequest(prompts=prompts, seeds=(0, 1), num_inference_steps=1))
    pipe = GanPipeline.from_pretrained(folder)
    generators = [torch.Generator().manual_seed(seed) for seed in range(2)]
    stock = pipe(list(prompts), generator=generators, output_type="pt").images
    assert int((ours.int() - (stock * 255).round().int()).abs().max()) <= 1
    assert float(pipe.style_generator.mean_style.abs().max()) > 0  # what truncation goes to is stored with the weights


def test_every_budget_is_within_that_of_lcm() -> None:
    """In teacher evaluations and in images that the student learned from; seconds are in the notes."""
    own, game = cfg_aware.CFG_AWARE, ufogen.UFOGEN
    begun = start.START.steps * start.START.batch_size
    spent = {
        "gd": (gd.TEACHER_EVALUATIONS * gd.GD.steps * gd.GD.batch_size, gd.GD.steps * gd.GD.batch_size),
        "cfg-aware": (cfg_aware.TEACHER_EVALUATIONS * own.steps * own.batch_size, own.steps * own.batch_size),
        "gan": (0, gan.GAN.steps * gan.GAN.batch_size),
        "ufogen": (2 * begun, begun + (game.steps - ufogen.UFOGEN_RECIPE.discriminator_lead) * game.batch_size),
        "instaflow": tuple(instaflow.budget().values())[::-1],
    }
    for n, config in dmd2.DMD2_TRAINING.items():
        matched = dmd2.budget(config, dmd2.DMD2_RECIPE)
        spent[f"dmd2-{n}"] = (2 * begun + matched["teacher_evaluations"], begun + matched["images"])
    images = LCM.steps * LCM.batch_size
    for name, (evaluations, seen) in spent.items():
        assert 0 <= evaluations <= 2 * images, name
        assert 0 < seen <= images, name
