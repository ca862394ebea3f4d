"""The adapter of LCM-LoRA: nothing at first, alone in learning, and read by stock diffusers on any base."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel
from safetensors import safe_open
from torch import Tensor

from bench.suites.shapes.generator.networks import LATENT_CHANNELS, LATENT_SIZE, POOLED_WIDTH, TEXT_WIDTHS, make_unet
from methods.distill.checkpoint import CHECKPOINT
from methods.distill.denoiser import Condition
from methods.distill.loop import TrainConfig, restore, train
from methods.distill.lora import TARGETS, Adapter, WithoutAdapter, add_lora, as_adapter, save_lora, wearing, what_learns
from methods.distill.objective import Batch
from methods.errors import WeightsError
from methods.lcm import LCMLoRA
from methods.lcm.objective import LcmObjective, LcmRecipe
from methods.weights import LORA
from tests.training.gaussian import denoiser

RANK = 4
CPU = torch.device("cpu")


def batch_at(step: int) -> Batch:
    rng = torch.Generator().manual_seed(step)
    embeds = torch.randn(2, 5, sum(TEXT_WIDTHS), generator=rng)
    pooled = torch.randn(2, POOLED_WIDTH, generator=rng)
    latents = torch.randn(2, LATENT_CHANNELS, LATENT_SIZE, LATENT_SIZE, generator=rng)
    return {"latents": latents, "condition": Condition(embeds, pooled, torch.zeros(2, 6))}


@torch.no_grad()
def output(unet: UNet2DConditionModel) -> Tensor:
    batch = batch_at(0)
    return denoiser(unet).output(batch["latents"], torch.tensor([999, 499]), batch["condition"])


def new_base(seed: int) -> UNet2DConditionModel:
    torch.manual_seed(seed)
    return make_unet().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def base() -> UNet2DConditionModel:
    return new_base(0)


@pytest.fixture
def adapted(base: UNet2DConditionModel) -> UNet2DConditionModel:
    """The base with an adapter that has learned something, or at any rate is not zero."""
    torch.manual_seed(1)
    unet = copy.deepcopy(base)
    add_lora(unet, RANK)
    with torch.no_grad():
        for parameter in Adapter(unet).parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return unet


def loaded(base: UNet2DConditionModel, adapter: Any) -> UNet2DConditionModel:
    """The base after stock diffusers' `load_lora_weights`; the rest of a pipeline is not needed for that."""
    unet = copy.deepcopy(base)
    names = ("vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")
    pipe = StableDiffusionXLPipeline(**dict.fromkeys(names), unet=unet, scheduler=None, add_watermarker=False)
    kind = {"weight_name": LORA} if isinstance(adapter, Path) else {}  # offline, diffusers does not guess the name
    pipe.load_lora_weights(adapter, **kind)
    return unet


def test_a_new_adapter_is_exactly_nothing(base: UNet2DConditionModel, adapted: UNet2DConditionModel) -> None:
    unet = copy.deepcopy(base)
    add_lora(unet, RANK)
    assert torch.equal(output(unet), output(base))
    assert not torch.allclose(output(adapted), output(base), atol=1e-2)


def test_stock_diffusers_loads_what_was_trained(
    base: UNet2DConditionModel, adapted: UNet2DConditionModel, tmp_path: Path
) -> None:
    """From a folder and from tensors: the module in training, bit for bit."""
    tensors = Adapter(adapted).tensors()
    save_lora(tmp_path, tensors)
    assert torch.equal(output(loaded(base, tmp_path)), output(adapted))
    assert torch.equal(output(loaded(base, tensors)), output(adapted))
    half = {name: tensor / 2 for name, tensor in tensors.items()}
    assert not torch.allclose(output(loaded(base, half)), output(adapted), atol=1e-2)


def test_it_adds_its_product_to_the_weights_of_any_base(adapted: UNet2DConditionModel) -> None:
    other = new_base(7)
    tensors = Adapter(adapted).tensors()
    by_hand = copy.deepcopy(other)
    for name, module in by_hand.named_modules():
        if f"unet.{name}.lora_A.weight" in tensors:
            down, up = tensors[f"unet.{name}.lora_A.weight"], tensors[f"unet.{name}.lora_B.weight"]
            module.weight += (up.flatten(1) @ down.flatten(1)).view_as(module.weight)
    plugged = output(loaded(other, tensors))
    assert torch.allclose(plugged, output(by_hand), atol=1e-4)  # float32 sums of some hundred products, in two orders
    assert not torch.allclose(plugged, output(other), atol=1e-2)
    assert not torch.allclose(plugged, output(adapted), atol=1e-2)


def test_every_kind_of_layer_is_adapted(adapted: UNet2DConditionModel) -> None:
    names = [name.removesuffix(".lora_A.weight") for name in Adapter(adapted).tensors() if "lora_A" in name]
    for target in TARGETS:
        assert any(name.endswith(target) for name in names), target
    assert not any("conv_in" in name or "conv_out" in name for name in names)


@pytest.fixture
def trained(base: UNet2DConditionModel, tmp_path: Path) -> tuple[LcmObjective, Path]:
    objective = new_objective(base)
    for _ in train(objective, batch_at, config(), tmp_path):
        pass
    return objective, tmp_path


def new_objective(base: UNet2DConditionModel) -> LcmObjective:
    torch.manual_seed(3)
    unet = copy.deepcopy(base)
    add_lora(unet, RANK)
    return LcmObjective(denoiser(unet), denoiser(base), LcmRecipe(w_min=2.0, w_max=2.0))


def config() -> TrainConfig:
    return TrainConfig(
        steps=3, batch_size=2, learning_rate=1e-2, optimizer="muon", warmup_steps=1, checkpoint_every=1, ema_decay=0.9
    )


def test_only_the_adapter_learns_and_its_target_follows(
    base: UNet2DConditionModel, trained: tuple[LcmObjective, Path]
) -> None:
    objective = trained[0]
    start, student, target = new_objective(base), objective.student.unet, objective.target.unet
    before, after = (dict(unet.named_parameters()) for unet in (start.student.unet, student))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if "lora_" in name}
    averaged = dict(target.named_parameters())
    assert all(not torch.equal(averaged[name], before[name]) for name in changed if "lora_B" in name)
    assert all(not torch.equal(averaged[name], after[name]) for name in changed if "lora_B" in name)
    assert all(p.grad is None for p in target.parameters())


def test_a_checkpoint_holds_only_what_learns_and_resumes(
    base: UNet2DConditionModel, trained: tuple[LcmObjective, Path]
) -> None:
    objective, folder = trained
    with safe_open(folder / CHECKPOINT, framework="pt") as file:
        stored = [name for name in file.keys() if name.startswith("network/")]  # noqa: SIM118  (not a dict)
    assert {name.split("/")[1] for name in stored} == {"student", "student.ema", "target.follower"}
    assert all("lora_" in name for name in stored)
    again = new_objective(base)
    restore(again, config(), folder)
    assert torch.equal(output(again.student.unet), output(objective.student.unet))
    assert torch.equal(output(again.target.unet), output(objective.target.unet))


def test_a_network_without_adapter_learns_as_a_whole(base: UNet2DConditionModel) -> None:
    assert what_learns(base) is base


def test_a_folder_without_a_lora_is_refused_by_name(tiny_pipeline: Path) -> None:
    with pytest.raises(WeightsError, match=rf"{LORA}: missing"):
        LCMLoRA.load(tiny_pipeline, device=CPU, dtype=torch.float32)


def test_a_fused_lora_leaves_an_ordinary_unet(tiny_lora_pipeline: Path) -> None:
    method = LCMLoRA.load(tiny_lora_pipeline, device=CPU, dtype=torch.float32)
    assert not any("lora" in name for name, _ in method.pipe.unet.named_parameters())
    pipe = StableDiffusionXLPipeline.from_pretrained(tiny_lora_pipeline, add_watermarker=False)
    without = output(pipe.unet)
    pipe.load_lora_weights(tiny_lora_pipeline, weight_name=LORA)
    assert torch.allclose(output(method.pipe.unet), output(pipe.unet), atol=1e-4)
    assert not torch.allclose(without, output(pipe.unet), atol=1e-2)


def test_without_its_adapter_a_unet_is_its_own_teacher(
    base: UNet2DConditionModel, adapted: UNet2DConditionModel
) -> None:
    before = output(adapted)
    assert torch.equal(output(WithoutAdapter(adapted)), output(base))  # type: ignore[arg-type]
    assert torch.equal(output(adapted), before)
    assert all(p.requires_grad == ("lora_" in name) for name, p in adapted.named_parameters())


def test_one_unet_for_teacher_and_student_learns_what_two_learn(base: UNet2DConditionModel, tmp_path: Path) -> None:
    two, one = new_objective(base), new_objective(base)
    one.teacher = denoiser(WithoutAdapter(one.student.unet))  # type: ignore[arg-type]
    histories = [[log.losses for log in train(objective, batch_at, config())] for objective in (two, one)]
    assert histories[0] == histories[1]
    assert torch.equal(output(one.student.unet), output(two.student.unet))
    wrong = new_objective(base)
    wrong.teacher = denoiser(wrong.student.unet)  # it teaches itself what it already does
    assert [log.losses for log in train(wrong, batch_at, config())] != histories[0]


def test_another_adapter_is_worn_and_taken_off(base: UNet2DConditionModel, adapted: UNet2DConditionModel) -> None:
    average = copy.deepcopy(Adapter(adapted))
    with torch.no_grad():
        for parameter in average.parameters():
            parameter.zero_()
    before = output(adapted)

    def interrupted() -> None:
        with wearing(adapted, average) as unet:
            assert torch.equal(output(unet), output(base))  # type: ignore[arg-type]
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert torch.equal(output(adapted), before)


def test_an_adapter_learns_in_float32_on_a_base_in_half_precision(base: UNet2DConditionModel) -> None:
    unet = copy.deepcopy(base).to(torch.bfloat16)
    add_lora(unet, RANK)
    dtypes = {p.dtype for p in Adapter(unet).parameters()}, {p.dtype for p in base.parameters()}
    assert dtypes == ({torch.float32}, {torch.float32})
    assert unet.conv_in.weight.dtype == torch.bfloat16


def test_another_network_is_no_adapter(base: UNet2DConditionModel) -> None:
    with pytest.raises(TypeError, match="UNet2DConditionModel: the student of LCM-LoRA is an adapter"):
        as_adapter(base)
