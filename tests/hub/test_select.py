"""Which files of a model are needed: one variant, no pickles, no programs."""

from __future__ import annotations

import json

import pytest

from methods.errors import WeightsError
from methods.hub.select import check_config, components, part_files, pipeline_files
from tests.hub.hub import pipeline_files as hub_files

INDEX = json.loads(hub_files()["model_index.json"])
NAMES = tuple(hub_files())
PARTS = ("scheduler", "text_encoder", "tokenizer", "unet", "vae")


def test_parts_are_those_of_known_libraries_without_the_safety_checker() -> None:
    assert tuple(components(INDEX, "x")) == PARTS


@pytest.mark.parametrize(
    "change",
    [{"_class_name": ["pipeline", "Mine"]}, {"unet": ["my_code", "Net"]}, {"_class_name": None}, {"vae": ["os", "a"]}],
)  # fmt: skip
def test_code_of_a_checkpoint_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(WeightsError, match="code from a checkpoint is never run"):
        components({**INDEX, **change}, "x")
    with pytest.raises(WeightsError, match="code from a checkpoint is never run"):
        check_config({"auto_map": {"AutoModel": "modeling.Mine"}}, "x")
    check_config({"hidden_size": 3}, "x")


def test_full_precision_and_nothing_else() -> None:
    chosen = pipeline_files(NAMES, PARTS, "x")
    assert chosen["unet/diffusion_pytorch_model.safetensors"] == "unet/diffusion_pytorch_model.safetensors"
    assert chosen["text_encoder/model.safetensors"] == "text_encoder/model.safetensors"
    left_out = set(NAMES) - set(chosen.values())
    assert left_out == {
        "text_encoder/model.fp16.safetensors",
        "text_encoder/pytorch_model.bin",
        "text_encoder/model.onnx",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "safety_checker/model.safetensors",
        "README.md",
        "pipeline.py",
    }


def test_a_variant_lies_under_the_plain_name_and_a_part_without_it_is_taken_as_it_is() -> None:
    chosen = pipeline_files(NAMES, PARTS, "x", "fp16")
    assert chosen["unet/diffusion_pytorch_model.safetensors"] == "unet/diffusion_pytorch_model.fp16.safetensors"
    assert chosen["vae/diffusion_pytorch_model.safetensors"] == "vae/diffusion_pytorch_model.safetensors"


@pytest.mark.parametrize("variant", [None, "fp16"])
def test_shards_keep_their_names_and_their_list_loses_the_variant(variant: str | None) -> None:
    plain = ["t/model-00001-of-00002.safetensors", "t/model-00002-of-00002.safetensors"]
    half = ["t/model.fp16-00001-of-00002.safetensors", "t/model.fp16-00002-of-00002.safetensors"]
    lists = ["t/model.safetensors.index.json", "t/model.safetensors.index.fp16.json"]
    chosen = part_files([*plain, *half, *lists, "t/config.json"], "t/", "x", variant)
    shards = plain if variant is None else half
    assert {target: name for target, name in chosen.items() if "index" not in target and "config" not in target} == {
        name: name for name in shards
    }
    assert chosen["t/model.safetensors.index.json"] == lists[variant is not None]
    assert len(chosen) == 4


def test_a_part_with_a_pickle_alone_is_refused_by_name() -> None:
    with pytest.raises(WeightsError, match=r"x: unet/weights.bin: a pickle can run code"):
        part_files(["unet/config.json", "unet/weights.bin"], "unet/", "x")
    with pytest.raises(WeightsError, match="has no unet; it is not a whole pipeline"):
        part_files(["vae/config.json"], "unet/", "x")
