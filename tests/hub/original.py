"""A pipeline folder as one file, in the layout of the first Stable Diffusion code that released checkpoints keep.

The names are those that diffusers reads (`from_single_file`), turned round; only small networks with one layer a block
are written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

Rules = Sequence[tuple[str, str]]
Tensors = Mapping[str, Tensor]

_RESNET: Rules = (
    (r"norm1\.", "in_layers.0."),
    (r"conv1\.", "in_layers.2."),
    (r"time_emb_proj\.", "emb_layers.1."),
    (r"norm2\.", "out_layers.0."),
    (r"conv2\.", "out_layers.3."),
    (r"conv_shortcut\.", "skip_connection."),
)
_UNET: Rules = (
    (r"time_embedding\.linear_1\.", "time_embed.0."),
    (r"time_embedding\.linear_2\.", "time_embed.2."),
    (r"add_embedding\.linear_1\.", "label_emb.0.0."),
    (r"add_embedding\.linear_2\.", "label_emb.0.2."),
    (r"conv_in\.", "input_blocks.0.0."),
    (r"conv_norm_out\.", "out.0."),
    (r"conv_out\.", "out.2."),
    (r"down_blocks\.0\.resnets\.0\.", "input_blocks.1.0."),
    (r"down_blocks\.0\.downsamplers\.0\.conv\.", "input_blocks.2.0.op."),
    (r"down_blocks\.1\.resnets\.0\.", "input_blocks.3.0."),
    (r"down_blocks\.1\.attentions\.0\.", "input_blocks.3.1."),
    (r"mid_block\.resnets\.0\.", "middle_block.0."),
    (r"mid_block\.attentions\.0\.", "middle_block.1."),
    (r"mid_block\.resnets\.1\.", "middle_block.2."),
    (r"up_blocks\.0\.resnets\.([01])\.", r"output_blocks.\1.0."),
    (r"up_blocks\.0\.attentions\.([01])\.", r"output_blocks.\1.1."),
    (r"up_blocks\.0\.upsamplers\.0\.conv\.", "output_blocks.1.2.conv."),
    (r"up_blocks\.1\.resnets\.0\.", "output_blocks.2.0."),
    (r"up_blocks\.1\.resnets\.1\.", "output_blocks.3.0."),
)
_VAE: Rules = (
    (r"conv_shortcut\.", "nin_shortcut."),
    (r"down_blocks\.(\d)\.resnets\.(\d)\.", r"down.\1.block.\2."),
    (r"down_blocks\.(\d)\.downsamplers\.0\.", r"down.\1.downsample."),
    (r"up_blocks\.0\.resnets\.(\d)\.", r"up.1.block.\1."),
    (r"up_blocks\.1\.resnets\.(\d)\.", r"up.0.block.\1."),
    (r"up_blocks\.0\.upsamplers\.0\.", "up.1.upsample."),
    (r"mid_block\.resnets\.0\.", "mid.block_1."),
    (r"mid_block\.resnets\.1\.", "mid.block_2."),
    (r"mid_block\.attentions\.0\.", "mid.attn_1."),
    (r"group_norm\.", "norm."),
    (r"to_([qkv])\.", r"\1."),
    (r"to_out\.0\.", "proj_out."),
    (r"conv_norm_out\.", "norm_out."),
)
_OPEN_CLIP: Rules = (
    (r"^text_model\.", ""),
    (r"embeddings\.token_embedding\.", "token_embedding."),
    (r"embeddings\.position_embedding\.weight", "positional_embedding"),
    (r"final_layer_norm\.", "ln_final."),
    (r"encoder\.layers\.", "transformer.resblocks."),
    (r"layer_norm([12])\.", r"ln_\1."),
    (r"mlp\.fc1\.", "mlp.c_fc."),
    (r"mlp\.fc2\.", "mlp.c_proj."),
    (r"self_attn\.out_proj\.", "attn.out_proj."),
    (r"text_projection\.weight", "text_projection"),
)


def write_original(folder: Path, path: Path, dtype: torch.dtype = torch.float16) -> Path:
    """Write a small SD or SDXL folder as one file."""
    second = folder / "text_encoder_2" / "model.safetensors"
    first = "conditioner.embedders.0.transformer." if second.exists() else "cond_stage_model.transformer."
    tensors = dict(_under("model.diffusion_model.", _unet(_network(folder / "unet"))))
    tensors |= _under("first_stage_model.", _vae(_network(folder / "vae")))
    tensors |= _under(first, _clip(load_file(folder / "text_encoder" / "model.safetensors")))
    if second.exists():
        tensors |= _under("conditioner.embedders.1.model.", _open_clip(load_file(second)))
    save_file({name: tensor.to(dtype).contiguous() for name, tensor in tensors.items()}, path, {"format": "pt"})
    return path


def _network(folder: Path) -> Tensors:
    return load_file(folder / "diffusion_pytorch_model.safetensors")


def _under(prefix: str, tensors: Iterator[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    return ((prefix + name, tensor) for name, tensor in tensors)


def _renamed(name: str, rules: Rules) -> str:
    for pattern, new in rules:
        name = re.sub(pattern, new, name)
    return name


def _unet(tensors: Tensors) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in tensors.items():
        rules = (*_RESNET, *_UNET) if ".resnets." in name else _UNET
        yield _renamed(name, rules), tensor


def _vae(tensors: Tensors) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in tensors.items():
        is_projection = ".attentions." in name and tensor.ndim == 2
        yield _renamed(name, _VAE), tensor[:, :, None, None] if is_projection else tensor


def _clip(tensors: Tensors) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in tensors.items():
        yield f"text_model.{name.removeprefix('text_model.')}", tensor


def _open_clip(tensors: Tensors) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in tensors.items():
        if ".k_proj." in name or ".v_proj." in name:
            continue
        if ".q_proj." in name:
            parts = [tensors[name.replace(".q_proj.", f".{part}_proj.")] for part in "qkv"]
            layer, _, kind = _renamed(name, _OPEN_CLIP).partition(".self_attn.q_proj.")
            yield f"{layer}.attn.in_proj_{kind}", torch.cat(parts)
        else:
            yield _renamed(name, _OPEN_CLIP), tensor.T if name == "text_projection.weight" else tensor
