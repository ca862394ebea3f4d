"""Every registered method against the conformance checks, and the checks against methods that are broken on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from methods.gan import StyleGAN
from methods.interface import Method, SampleRequest
from methods.lcm import LCM, LCMLoRA
from methods.registry import METHODS, is_released
from methods.sampling import PipelineMethod
from methods.sdxl import SDXL
from tests.conformance import checks

BUILT_IN = tuple(name for name in METHODS.names() if METHODS.entry(name).source is None and not is_released(name))
"""Methods that something is trained for here; those of released weights alone have tests of their own."""


@pytest.fixture
def weights(request: pytest.FixtureRequest) -> Path:
    """Random weights of the kind that the method in the test's parameter `name` needs."""
    kind: type[PipelineMethod] = METHODS.load(request.node.callspec.params["name"])
    embedded = kind.default_recipe.guidance == "embedded"
    plain = "tiny_embedded_pipeline" if embedded else "tiny_pipeline"
    others = {LCMLoRA: "tiny_lora_pipeline", StyleGAN: "tiny_gan"}
    folder: Path = request.getfixturevalue(others.get(kind, plain))
    return folder


@pytest.mark.parametrize("name", BUILT_IN)
def test_method_conforms(name: str, weights: Path) -> None:
    kind: type[PipelineMethod] = METHODS.load(name)
    assert kind.info.name == name
    checks.check_method(kind, weights, step_counts(kind))


def step_counts(kind: type[PipelineMethod]) -> tuple[int, ...]:
    """Counts to sample at: of a distilled method those that its recipe allows, at most 8, where the tests are quick."""
    if issubclass(kind, SDXL):
        return (1, 2, 4, 25)
    fewest, most = kind.default_recipe.allowed_steps
    return tuple(count for count in (1, 2, 4, 8) if fewest <= count <= min(most, max(4, fewest)))


@pytest.mark.parametrize("name", [name for name in BUILT_IN if name.startswith("sdxl")])
def test_a_baseline_is_finite_at_every_step_count_of_the_comparison(name: str, weights: Path) -> None:
    method = METHODS.load(name).load(weights, device=torch.device("cpu"), dtype=torch.float32)
    one = replace(checks.request(1), prompts=checks.PROMPTS[:1], seeds=checks.SEEDS[:1])
    images = [method.sample(replace(one, num_inference_steps=steps)) for steps in (50, 8)]
    assert all(image.unique().numel() > 2 for image in images)
    assert checks.distance(*images) > 0, "the step count changes nothing"


@pytest.fixture(scope="module")
def sdxl(tiny_pipeline: Path) -> SDXL:
    return SDXL.load(tiny_pipeline, device=torch.device("cpu"), dtype=torch.float32)


class Broken(SDXL):
    """SDXL with one thing wrong: each subclass below says which."""

    inner: SDXL

    def __init__(self, inner: SDXL) -> None:
        self.__dict__.update(inner.__dict__, inner=inner)


class ForgetsSeeds(Broken):
    def sample(self, request: SampleRequest) -> Tensor:
        return self.inner.sample(replace(request, seeds=tuple(range(len(request.seeds)))))


class ForgetsPrompts(Broken):
    def sample(self, request: SampleRequest) -> Tensor:
        return self.inner.sample(replace(request, prompts=("a red circle",) * len(request.prompts)))


class MixesTheBatch(Broken):
    def sample(self, request: SampleRequest) -> Tensor:
        images = self.inner.sample(request).float()
        return (images + 0.1 * images.flip(0)).clamp(0, 255).to(torch.uint8)


class ReturnsFloats(Broken):
    def sample(self, request: SampleRequest) -> Tensor:
        return self.inner.sample(request).float()


class IsNeverTheSame(Broken):
    def sample(self, request: SampleRequest) -> Tensor:
        return self.inner.sample(replace(request, seeds=tuple(int(torch.randint(9**9, ())) for _ in request.seeds)))


class IsBlack(Broken):
    def sample(self, request: SampleRequest) -> Tensor:
        return torch.zeros_like(self.inner.sample(request))


class TakesAnExtraStep(Broken):
    def sample(self, request: SampleRequest) -> Tensor:
        return self.inner.sample(replace(request, num_inference_steps=request.num_inference_steps + 1))


class Truncates(Broken):
    def sample(self, request: SampleRequest) -> Tensor:
        images = self.inner.pipe(**self.inner.pipeline_arguments(request), output_type="pt").images
        return ((images * 255).int() - 1).clamp(0, 255).to(torch.uint8)


class HidesTheDecoder(Broken):
    @property
    def components(self) -> Mapping[str, nn.Module]:
        return {name: part for name, part in self.inner.components.items() if name != "decoder"}


class HooksTheWholeVae(Broken):
    @property
    def components(self) -> Mapping[str, nn.Module]:
        return {**self.inner.components, "decoder": self.inner.pipe.vae}


class AllowsEverything(Broken):
    def unsupported(self, request: SampleRequest) -> str | None:
        return None


class AllowsNothing(Broken):
    def unsupported(self, request: SampleRequest) -> str | None:
        return "not today"


@pytest.mark.parametrize(
    ("broken", "check", "arguments"),
    [
        (ForgetsSeeds, checks.check_inputs_matter, (1,)),
        (ForgetsPrompts, checks.check_inputs_matter, (1,)),
        (MixesTheBatch, checks.check_independence, (1,)),
        (ForgetsSeeds, checks.check_independence, (1,)),
        (ReturnsFloats, checks.check_sample, (1,)),
        (IsNeverTheSame, checks.check_sample, (1,)),
        (IsBlack, checks.check_sample, (1,)),
        (TakesAnExtraStep, checks.check_evaluations, (2,)),
        (HooksTheWholeVae, checks.check_evaluations, (1,)),
        (Truncates, checks.check_stock_pipeline, (1,)),
        (HidesTheDecoder, checks.check_components, ()),
        (AllowsEverything, checks.check_unsupported, ()),
        (AllowsNothing, checks.check_unsupported, ()),
    ],
)
def test_a_broken_method_is_found(sdxl: SDXL, broken: type[Broken], check: Any, arguments: tuple[int, ...]) -> None:
    check(sdxl, *arguments)
    with pytest.raises(AssertionError):
        check(broken(sdxl), *arguments)


def test_a_network_left_in_training_mode_is_found(sdxl: SDXL) -> None:
    sdxl.pipe.unet.train()
    try:
        with pytest.raises(AssertionError, match="denoiser is in training mode"):
            checks.check_components(sdxl)
    finally:
        sdxl.pipe.unet.eval()


@pytest.mark.parametrize(
    "change", [{"title": " "}, {"arxiv": "soon"}, {"steps": ()}, {"steps": (0, 1)}, {"name": "L C M"}]
)
def test_incomplete_info_is_found(change: dict[str, Any]) -> None:
    checks.check_info(LCM)

    class Incomplete(LCM):
        info = replace(LCM.info, **change)

    with pytest.raises(AssertionError):
        checks.check_info(Incomplete)


def test_all_entries_of_the_table_load_and_have_a_summary() -> None:
    for name in BUILT_IN:
        assert issubclass(METHODS.load(name), Method)
        assert METHODS.summary(name).strip()
