"""Published judges that are pickles, converted once into safetensors, in a process of their own.

    python -m bench.metrics.hub.convert hpsv2 HPS_v2.1_compressed.pt OUT --config CLIP-ViT-H-14-laion2B-s32B-b79K
    python -m bench.metrics.hub.convert image-reward ImageReward.pt OUT --config bert-base-uncased
    python -m bench.metrics.hub.convert aesthetic sac+logos+ava1-l14-linearMSE.pth OUT
    python -m bench.metrics.hub.convert alexnet alexnet-owt-7be5be79.pth OUT
    python -m bench.metrics.hub.convert inception-fidelity weights-inception-2015-12-05-6726825d.pth OUT

The file is read by torch's restricted unpickler, which makes tensors and plain containers and nothing else. `--config`
is a folder whose JSON and tokenizer files are copied. The sha256 of the file read goes into the new one.
"""

from __future__ import annotations

import argparse
import pickle  # nosec B403
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bench.errors import FewstepError, UsageError, WeightsError
from bench.provenance import file_hash

State = dict[str, Tensor]

_BLIP_VISION = (
    (r"^cls_token$", "embeddings.class_embedding"),
    (r"^pos_embed$", "embeddings.position_embedding"),
    (r"^patch_embed\.proj\.", "embeddings.patch_embedding."),
    (r"^norm\.", "post_layernorm."),
    (r"^blocks\.(\d+)\.norm(\d)\.", r"encoder.layers.\1.layer_norm\2."),
    (r"^blocks\.(\d+)\.attn\.qkv\.", r"encoder.layers.\1.self_attn.qkv."),
    (r"^blocks\.(\d+)\.attn\.proj\.", r"encoder.layers.\1.self_attn.projection."),
    (r"^blocks\.(\d+)\.mlp\.", r"encoder.layers.\1.mlp."),
)
_OPEN_CLIP_BLOCK = (
    (r"^ln_(\d)\.", r"layer_norm\1."),
    (r"^attn\.out_proj\.", "self_attn.out_proj."),
    (r"^mlp\.c_fc\.", "mlp.fc1."),
    (r"^mlp\.c_proj\.", "mlp.fc2."),
)


def image_reward(state: State) -> State:
    """ImageReward's names -> those of `RewardNetwork`."""
    found: State = {}
    for name, value in state.items():
        if name.startswith("blip.visual_encoder."):
            found["vision_model." + _renamed(name.removeprefix("blip.visual_encoder."), _BLIP_VISION)] = value
        elif name.startswith("blip.text_encoder.") and not name.endswith("position_ids"):
            found[name.removeprefix("blip.")] = value
        elif name.startswith("mlp."):
            found["head." + name.removeprefix("mlp.")] = value
    return found


def open_clip(state: State) -> State:
    """open_clip's names -> those of transformers' `CLIPModel`; the joint projection of attention is cut in three."""
    found: State = {"logit_scale": state["logit_scale"]}
    towers = (("visual.", "vision_model."), ("", "text_model."))
    for prefix, tower in towers:
        pattern = re.compile(rf"^{re.escape(prefix)}transformer\.resblocks\.(\d+)\.(.+)$")
        for name, value in state.items():
            block = pattern.match(name)
            if block is not None:
                found.update(_block(f"{tower}encoder.layers.{block.group(1)}.", block.group(2), value))
    for name, target in _OPEN_CLIP_REST.items():
        for ending in ("", ".weight", ".bias"):
            if name + ending in state:
                found[target + ending] = state[name + ending]
    found["text_projection.weight"] = state["text_projection"].T.contiguous()
    found["visual_projection.weight"] = state["visual.proj"].T.contiguous()
    return found


_OPEN_CLIP_REST = {
    "visual.conv1": "vision_model.embeddings.patch_embedding",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.ln_pre": "vision_model.pre_layrnorm",  # so it is spelt there
    "visual.ln_post": "vision_model.post_layernorm",
    "token_embedding": "text_model.embeddings.token_embedding",
    "ln_final": "text_model.final_layer_norm",
}


def _block(place: str, name: str, value: Tensor) -> State:
    if name.startswith("attn.in_proj_"):
        kind = name.removeprefix("attn.in_proj_")
        parts = zip(("q_proj", "k_proj", "v_proj"), value.chunk(3), strict=True)
        return {f"{place}self_attn.{part}.{kind}": piece.contiguous() for part, piece in parts}
    return {place + _renamed(name, _OPEN_CLIP_BLOCK): value}


def hpsv2(state: State) -> State:
    """HPS v2.1's file -> `CLIPModel`."""
    found = open_clip(state)
    found["vision_model.embeddings.position_embedding.weight"] = state["visual.positional_embedding"]
    found["text_model.embeddings.position_embedding.weight"] = state["positional_embedding"]
    return found


def unchanged(state: State) -> State:
    """The names are kept."""
    return state


KINDS: Mapping[str, Callable[[State], State]] = {
    "hpsv2": hpsv2,
    "image-reward": image_reward,
    "aesthetic": unchanged,
    "alexnet": unchanged,
    "inception-fidelity": unchanged,
}
_COPIED = ("*.json", "vocab.txt", "merges.txt")
_BLIP_VIT = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 16,
}
_BLIP_BERT = {
    "vocab_size": 30524,
    "hidden_size": 768,
    "encoder_hidden_size": 1024,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
}


def convert(kind: str, source: Path, out: Path, config: Path | None = None) -> Path:
    """Write `out/model.safetensors` and the files beside it; returns its path.

    Raises:
        WeightsError: where `source` cannot be read as a plain state dict, or is of another judge.
    """
    state = {name: value.contiguous() for name, value in KINDS[kind](_read(source)).items()}
    if not state:
        raise WeightsError(f"{source} has no weights of {kind} in it")
    out.mkdir(parents=True, exist_ok=True)
    if config is not None:
        for path in sorted(path for pattern in _COPIED for path in config.glob(pattern)):
            shutil.copyfile(path, out / path.name)
    if kind == "image-reward":
        from transformers import BlipConfig

        BlipConfig(vision_config=_BLIP_VIT, text_config=_BLIP_BERT).save_pretrained(out)
    file = out / "model.safetensors"
    save_file(state, file, {"format": "pt", "source": source.name, "source_sha256": file_hash(source)})
    return file


def _read(source: Path) -> State:
    if source.suffix == ".safetensors":  # read as weights alone before
        return load_file(source)
    try:
        data: Any = torch.load(source, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise WeightsError(
            f"{source} is not a plain file of weights: {str(error).strip().partition(chr(10))[0]}"
        ) from error
    data = data.get("state_dict", data) if isinstance(data, dict) else data
    if not isinstance(data, dict):
        raise WeightsError(f"{source} holds a {type(data).__name__}, not named weights")
    return {str(name): value for name, value in data.items() if isinstance(value, Tensor)}


def _renamed(name: str, rules: Sequence[tuple[str, str]]) -> str:
    for pattern, target in rules:
        if re.search(pattern, name):
            return re.sub(pattern, target, name)
    return name


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.metrics.hub.convert", description=__doc__)
    parser.add_argument("kind", choices=tuple(KINDS))
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--config", type=Path)
    args = parser.parse_args(argv)
    try:
        if not args.source.is_file():
            raise UsageError(f"{args.source} is not there")
        sys.stdout.write(f"{convert(args.kind, args.source, args.out, args.config)}\n")
    except FewstepError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
