"""Published files, named as they are named there, become what the adapters load; anything but tensors is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import BlipConfig, CLIPConfig, CLIPModel

from bench.errors import WeightsError
from bench.metrics.hub.convert import convert, hpsv2, main
from bench.metrics.hub.image_reward import RewardNetwork
from tests.judges.make import write_aesthetic

WIDTH, HEADS, PATCH, SIDE, JOINT, WORDS, LONGEST = 8, 2, 4, 8, 6, 20, 7
BLIP_VISION = (
    "cls_token", "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias", "blocks.0.norm1.weight",
    "blocks.0.norm1.bias", "blocks.0.attn.qkv.weight", "blocks.0.attn.qkv.bias", "blocks.0.attn.proj.weight",
    "blocks.0.attn.proj.bias", "blocks.0.norm2.weight", "blocks.0.norm2.bias", "blocks.0.mlp.fc1.weight",
    "blocks.0.mlp.fc1.bias", "blocks.0.mlp.fc2.weight", "blocks.0.mlp.fc2.bias", "norm.weight", "norm.bias",
)  # fmt: skip
"""The names of one block of the image tower in the published ImageReward.pt."""


def test_image_reward_names_fill_the_network_exactly() -> None:
    from bench.metrics.hub.convert import image_reward

    tower = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**tower, "vocab_size": 30, "encoder_hidden_size": 16, "is_decoder": True}
    vision = {**tower, "image_size": 32, "patch_size": 8}
    wanted = RewardNetwork(BlipConfig(text_config=text, vision_config=vision)).state_dict()
    texts = [f"blip.{name}" for name in wanted if name.startswith("text_encoder.")]
    heads = [f"mlp.layers.{layer}.{kind}" for layer in (0, 2, 4, 6, 7) for kind in ("weight", "bias")]
    published = [*(f"blip.visual_encoder.{name}" for name in BLIP_VISION), *texts, *heads]
    state = {name: torch.zeros(1) for name in [*published, "blip.text_encoder.embeddings.position_ids", "other"]}
    assert set(image_reward(state)) == {name for name in wanted if not name.endswith("position_ids")}


class Block(nn.Module):
    """A block as open_clip writes it: attention with a joint projection."""

    def __init__(self) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attn = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(WIDTH, 2 * WIDTH), "c_proj": nn.Linear(2 * WIDTH, WIDTH)})

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, attn_mask=mask, need_weights=False)[0]
        return x + self.mlp["c_proj"](nn.functional.gelu(self.mlp["c_fc"](self.ln_2(x))))


class Tower(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.transformer = nn.ModuleDict({"resblocks": nn.ModuleList([Block(), Block()])})

    def run(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        for block in self.transformer["resblocks"]:
            x = block(x, mask)
        return x


class Vision(Tower):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTH, PATCH, PATCH, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(WIDTH))
        self.positional_embedding = nn.Parameter(torch.randn((SIDE // PATCH) ** 2 + 1, WIDTH))
        self.ln_pre, self.ln_post = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.proj = nn.Parameter(torch.randn(WIDTH, JOINT))

    def forward(self, images: Tensor) -> Tensor:
        x = self.conv1(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], dim=1) + self.positional_embedding
        return self.ln_post(self.run(self.ln_pre(x))[:, 0]) @ self.proj


class OpenClip(Tower):
    """open_clip's two towers written out, with its names."""

    def __init__(self) -> None:
        super().__init__()
        self.visual = Vision()
        self.token_embedding = nn.Embedding(WORDS, WIDTH)
        self.positional_embedding = nn.Parameter(torch.randn(LONGEST, WIDTH))
        self.ln_final = nn.LayerNorm(WIDTH)
        self.text_projection = nn.Parameter(torch.randn(WIDTH, JOINT))
        self.logit_scale = nn.Parameter(torch.tensor(2.0))

    def text(self, ids: Tensor) -> Tensor:
        mask = torch.full((LONGEST, LONGEST), -torch.inf).triu(1)
        x = self.ln_final(self.run(self.token_embedding(ids) + self.positional_embedding, mask))
        return x[torch.arange(len(x)), ids.argmax(dim=-1)] @ self.text_projection


@torch.no_grad()
def test_an_open_clip_file_gives_the_same_embeddings_in_transformers() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        published = OpenClip().eval()
        images, ids = torch.randn(3, 3, SIDE, SIDE), torch.randint(0, WORDS - 1, (3, LONGEST))
        for network in published.modules():  # biases and scales that are not those of a fresh network
            for parameter in network.parameters(recurse=False):
                parameter += 0.1 * torch.randn_like(parameter)
    ids[:, -1] = WORDS - 1  # the end token has the highest id
    tower = {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": 2, "num_attention_heads": HEADS}
    text = {**tower, "vocab_size": WORDS, "max_position_embeddings": LONGEST, "hidden_act": "gelu"}
    text |= {"eos_token_id": WORDS - 1, "bos_token_id": 0}
    vision = {**tower, "image_size": SIDE, "patch_size": PATCH, "hidden_act": "gelu"}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=JOINT)).eval()
    missing, foreign = model.load_state_dict(hpsv2(published.state_dict()), strict=False)
    assert not foreign
    assert all(name.endswith("position_ids") for name in missing)
    ours = model.get_image_features(images).pooler_output, model.get_text_features(ids).pooler_output
    assert torch.allclose(ours[0], published.visual(images), atol=1e-5)
    assert torch.allclose(ours[1], published.text(ids), atol=1e-5)


def test_a_head_is_converted_with_the_hash_of_its_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = load_file(write_aesthetic(tmp_path / "a") / "head.safetensors")
    torch.save(state, tmp_path / "head.pth")
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "tokenizer.json").write_text("{}")
    source, out = str(tmp_path / "head.pth"), tmp_path / "out"
    assert main(["aesthetic", source, str(out), "--config", str(tmp_path / "words")]) == 0
    assert capsys.readouterr().out.strip() == str(out / "model.safetensors")
    assert (out / "tokenizer.json").read_text() == "{}"
    assert all(torch.equal(state[name], value) for name, value in load_file(out / "model.safetensors").items())


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("ran",)


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"x": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match="is not a plain file of weights"):
        convert("aesthetic", tmp_path / "evil.pth", tmp_path / "out")
    assert capsys.readouterr().out == ""
    assert main(["aesthetic", str(tmp_path / "none.pth"), str(tmp_path / "out")]) == 2
    assert "is not there" in capsys.readouterr().err
