"""The memory plan: parameter counts are the published ones, and activations are what autograd keeps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from bench.cli import main
from bench.fullscale.activations import activations
from bench.fullscale.memory import Parts, activation_rows, count, memory_rows, read_parts, total
from bench.fullscale.request import FullScale
from bench.fullscale.sdxl_base import HUB_ID
from bench.fullscale.students import STUDENTS
from bench.fullscale.teacher import load_teacher
from bench.suites.shapes.generator.networks import make_vae
from methods.add.objective import make_discriminator
from methods.add.recipe import AddRecipe
from tests.fullscale.make import write_dino

SDXL = FullScale(method="add", teacher=HUB_ID, batch_size=4, gradient_checkpointing=True)


@pytest.fixture(scope="module")
def sdxl() -> Parts:
    return read_parts(SDXL)


def test_the_facts_give_the_published_parameter_counts(sdxl: Parts) -> None:
    # arXiv 2307.01952, table 1: UNet 2.6 B, text encoders 817 M; to the digit as the released weights have them
    assert count(sdxl.unet) == 2_567_463_684
    assert count(sdxl.text_encoder) + count(sdxl.text_encoder_2) == 123_060_480 + 694_659_840
    assert count(sdxl.vae) == 83_653_863
    assert count(sdxl.features) == 22_056_576
    assert all(p.is_meta for p in sdxl.unet.parameters())


def test_rows_are_the_bytes_of_their_parts(sdxl: Parts) -> None:
    rows = {row.name: row for row in memory_rows(SDXL, sdxl)}
    size = 2_567_463_684
    student = rows["student"]
    assert (student.weights, student.gradients, student.optimiser, student.average) == (
        4 * size, 4 * size, 8 * size, 4 * size,
    )  # fmt: skip
    assert rows["teacher, bfloat16"].total == 2 * size
    full = {row.name: row for row in memory_rows(replace(SDXL, dtype="float32"), sdxl)}
    assert full["teacher, float32"].total == 4 * size
    assert "its weights as autocast casts them" not in full
    lcm = {row.name: row for row in memory_rows(replace(SDXL, method="lcm"), sdxl)}
    assert lcm["student"].parameters == size + 256 * 320  # the input of the embedded guidance
    assert lcm["target (average of the student)"].total == 4 * lcm["student"].parameters
    assert not rows["(text encoder, before training)"].counted
    pd = {row.name: row.total for row in memory_rows(replace(SDXL, method="pd"), sdxl)}
    assert pd["student"] == student.total
    assert not any(name.startswith(("target", "features", "discriminator")) for name in pd)


def test_an_adapter_has_the_published_size_and_no_copy_of_its_teacher(sdxl: Parts) -> None:
    rows = {row.name: row for row in memory_rows(replace(SDXL, method="lcm-lora"), sdxl)}
    adapter, base = rows["adapter"], 2_567_463_684
    assert round(adapter.parameters / 1e6) == 197  # arXiv 2311.05556, table 1
    assert adapter.total == 5 * 4 * adapter.parameters
    assert rows["teacher and base, bfloat16"].total == 2 * base
    assert rows["target (base, average adapter)"].total == 2 * base + 4 * adapter.parameters
    assert "student" not in rows


def test_the_discriminator_is_the_one_that_is_built(tiny_pipeline: Path, tmp_path: Path) -> None:
    request = FullScale(method="add", teacher=str(tiny_pipeline), features=str(write_dino(tmp_path)), resolution=32)
    row = next(row for row in memory_rows(request, read_parts(request)) if row.name == "discriminator")
    built: Any = STUDENTS["add"][0].make(load_teacher(tiny_pipeline), request, torch.float32).objective
    assert row.parameters == count(built.discriminator) == count(built.trained["discriminator"])
    fewer = make_discriminator(built.student.unet.config, built.features, AddRecipe(condition_image=False))
    assert row.parameters > count(fewer)


def test_checkpointing_keeps_less_and_computes_again(sdxl: Parts) -> None:
    request = replace(SDXL, method="lcm", resolution=256)
    kept = {
        flag: activation_rows(replace(request, gradient_checkpointing=flag), sdxl)["student"] for flag in (True, False)
    }
    assert kept[True].kept < 0.2 * kept[False].kept
    assert 0 < kept[True].recomputed < kept[False].kept
    assert kept[False].recomputed == 0
    rows = memory_rows(request, sdxl)
    parameters = sum(row.total for row in rows if row.counted)
    assert total(rows, {"student": kept[True]}, 3) == parameters + 3 * (kept[True].kept + kept[True].recomputed)


def test_activations_of_a_small_network_are_counted_by_hand() -> None:
    network = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)).to("meta")
    x = torch.zeros(5, 8, device="meta")
    # the input of each layer, and what ReLU gave, which is the input of the second layer
    assert activations(network, lambda: network(x), checkpointed=False).kept == 4 * (5 * 8 + 5 * 16)


def test_activations_are_those_of_a_real_pass() -> None:
    vae = make_vae()
    latents = torch.randn(1, 8, 8, 8, requires_grad=True)
    own = {p.untyped_storage().data_ptr() for p in vae.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        vae.decode(latents)
    real = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    on_meta = vae.to("meta")
    latents = latents.to("meta").detach().requires_grad_()
    assert activations(on_meta, lambda: on_meta.decode(latents), checkpointed=False).kept == real


def test_the_command_prints_the_table_for_any_teacher(
    tiny_pipeline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    features = str(write_dino(tmp_path / "dino"))
    arguments = ["train", "add", "--teacher", str(tiny_pipeline), "--plan-memory", "--features", features]
    assert main([*arguments, "--resolution", "32", "--batch-size", "2"]) == 0
    table = capsys.readouterr().out
    for part in ("student", "teacher, bfloat16", "autoencoder, float32", "discriminator", "activations", "decoder"):
        assert part in table
    assert main(["train", "add", "--teacher", str(tmp_path), "--plan-memory"]) == 1
    assert "no configuration of" in capsys.readouterr().err
