"""Tiny checkpoints in the layout of the published judges, with random weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import BlipConfig, CLIPConfig, CLIPModel, Dinov2Config, Dinov2Model

from bench.metrics.hub.heads import ScoreHead
from bench.metrics.hub.image_reward import RewardNetwork
from bench.metrics.interface import MetricContext
from bench.metrics.judge_table import WEIGHTS
from bench.metrics.weights import JudgeFiles
from bench.suites.shapes.generator.tokenizer import write_tokenizer
from tests.metrics.tiny import context

LONGEST = 77
WIDTH = 16


class TinyInception(nn.Module):
    """The members that clean-fid calls: `layers` on scaled pixels, and a forward pass that resizes inside."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 7, stride=8), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, 2048)
        )

    def forward(self, x: Tensor, return_features: bool = True) -> Tensor:
        x = torch.nn.functional.interpolate(x, size=[299, 299], mode="bilinear", align_corners=False)
        return self.layers((x - 128) / 128)


def write_inception(folder: Path) -> Path:
    folder.mkdir(parents=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        torch.jit.script(TinyInception().eval()).save(folder / "inception-2015-12-05.pt")
    return folder


def write_clip(folder: Path, seed: int = 0) -> Path:
    tokenizer = write_tokenizer(folder, LONGEST)
    tower = {"hidden_size": WIDTH, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**tower, "vocab_size": len(tokenizer), "max_position_embeddings": LONGEST}
    text |= {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id}
    vision = {**tower, "image_size": 32, "patch_size": 8}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=12))
    model.save_pretrained(folder)
    values = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}
    (folder / "preprocessor_config.json").write_text(json.dumps(values))
    return folder


def write_dino(folder: Path) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        config = Dinov2Config(
            hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, image_size=56, patch_size=28
        )
        Dinov2Model(config).save_pretrained(folder)
    return folder


def write_image_reward(folder: Path) -> Path:
    folder.mkdir(parents=True)
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *"abcdefghijklmnopqrstuvwxyz",
        "##a",
        "red",
        "blue",
        "circle",
    ]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    tower = {"hidden_size": WIDTH, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**tower, "vocab_size": len(words), "encoder_hidden_size": WIDTH, "is_decoder": True}
    config = BlipConfig(text_config=text, vision_config={**tower, "image_size": 32, "patch_size": 8})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        network = RewardNetwork(config)
    config.save_pretrained(folder)
    save_file(network.state_dict(), folder / "model.safetensors")
    return folder


def write_aesthetic(folder: Path, width: int = 12) -> Path:
    folder.mkdir(parents=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        save_file(ScoreHead(width).state_dict(), folder / "head.safetensors")
    return folder


def write_alexnet(folder: Path) -> Path:
    import torchvision

    folder.mkdir(parents=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        features = torchvision.models.alexnet(weights=None).features
    save_file({f"features.{key}": value for key, value in features.state_dict().items()}, folder / "a.safetensors")
    return folder


MAKERS = {
    "inception": write_inception,
    "dinov2": write_dino,
    "clip-g": write_clip,
    "clip-l": write_clip,
    "clip-l-336": write_clip,
    "pickscore": write_clip,
    "hpsv2": write_clip,
    "image-reward": write_image_reward,
    "aesthetic": write_aesthetic,
    "alexnet": write_alexnet,
}


def hub_context(folders: Mapping[str, Path], images_per_prompt: int = 1) -> MetricContext:
    """A context with those weights and 40 real images as the reference."""
    from dataclasses import replace

    from bench.metrics.features import extract
    from tests.metrics.tiny import shapes

    return replace(
        context(),
        files=JudgeFiles(dict(folders)),
        reference_of=lambda extractor: extract(shapes(60, start=5000), extractor),
        images_per_prompt=images_per_prompt,
    )


def unpinned(monkeypatch: object, folder: Path) -> None:
    """Let the tiny Inception in `folder` pass for the published one."""
    from dataclasses import replace

    from bench.provenance import file_hash

    info = replace(WEIGHTS["inception"], sha256=file_hash(folder / "inception-2015-12-05.pt"))
    monkeypatch.setitem(WEIGHTS, "inception", info)  # type: ignore[attr-defined]
