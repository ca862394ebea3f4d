"""An architecture as a stock diffusers pipeline with random weights, at full size and without a download.

Networks are laid out without memory, then each parameter is given its own from one small block of normal numbers,
repeated: drawing billions of them would take minutes. Matrices are scaled by their fan-in and norms are the identity,
so that activations stay in range in half precision, with no denormal numbers, which are slow on a CPU. Weights are not
constant, because processors draw less power, and then run faster, on numbers that never change.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
from accelerate import init_empty_weights
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from bench.architectures import Architecture
from bench.errors import FewstepError, UsageError
from methods.pipelines import quiet_libraries

GUIDANCE_WIDTH = 256
"""Width of the embedding of the guidance scale in released consistency models."""
_BLOCK = 1_048_583  # a prime, so that rows of a matrix are not repeated
_TEXT_MODELS = {kind.__name__: kind for kind in (CLIPTextModel, CLIPTextModelWithProjection)}
_HEADROOM = 1.15  # of the weights, for activations at batch 1


def build_pipeline(
    architecture: Architecture, *, device: torch.device, dtype: torch.dtype, embedded_guidance: bool = False
) -> Any:
    """The stock pipeline of `architecture` with random weights, in eval mode.

    Args:
        architecture: what to build.
        device: where the weights are made.
        dtype: of the weights.
        embedded_guidance: give the UNet the input for a guidance scale that consistency models have.

    Raises:
        UsageError: where the configuration is not one that diffusers takes.
        FewstepError: where the weights do not fit into memory.
    """
    networks = empty_networks(architecture, embedded_guidance=embedded_guidance)
    _check_memory(architecture.name, parameter_count(networks) * dtype.itemsize, device, dtype)
    block = torch.randn(_BLOCK, generator=torch.Generator().manual_seed(0)).to(device, dtype)
    with quiet_libraries():
        for network in networks.values():
            _fill(network, block)
            network.to(device=device, dtype=dtype).eval().requires_grad_(False)  # buffers; the weights are there
    return _assemble(architecture, networks)


def empty_networks(architecture: Architecture, *, embedded_guidance: bool = False) -> dict[str, Any]:
    """The networks without memory for their weights (on the meta device), buffers aside.

    Raises:
        UsageError: where the configuration is not one that diffusers takes.
    """
    parts = architecture.parts
    guidance = {"time_cond_proj_dim": GUIDANCE_WIDTH} if embedded_guidance else {}
    encoders = [name for name in ("text_encoder", "text_encoder_2") if name in parts]
    try:
        with quiet_libraries(), init_empty_weights(include_buffers=False):
            networks = {name: _text_encoder(parts[name]) for name in encoders}
            networks["unet"] = diffusers.UNet2DConditionModel.from_config({**parts["unet"], **guidance})
            networks["vae"] = diffusers.AutoencoderKL.from_config(parts["vae"])
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"--family {architecture.name}: diffusers does not take it: {error}") from error
    return networks


def parameter_count(networks: Mapping[str, nn.Module]) -> int:
    """Parameters of all networks together."""
    return sum(parameter.numel() for network in networks.values() for parameter in network.parameters())


def _text_encoder(config: Mapping[str, Any]) -> Any:
    kind = _TEXT_MODELS[config["architecture"]]
    values = {name: value for name, value in config.items() if name != "architecture"}
    end = int(config["vocab_size"]) - 1
    return kind(CLIPTextConfig(**values, bos_token_id=end - 1, eos_token_id=end, pad_token_id=end))


def _fill(network: nn.Module, block: Tensor) -> None:
    """Replace every parameter of `network` by one with memory and random numbers, keeping shared ones shared."""
    made: dict[int, nn.Parameter] = {}
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) not in made:
                made[id(parameter)] = nn.Parameter(_random(name, module, parameter, block), requires_grad=False)
            setattr(module, name, made[id(parameter)])


def _random(name: str, module: nn.Module, like: Tensor, block: Tensor) -> Tensor:
    tensor = torch.empty(like.shape, device=block.device, dtype=block.dtype)
    if like.ndim < 2:
        return tensor.fill_(1.0 if name == "weight" else 0.0)  # of a norm, or a bias
    scale = 0.02 if isinstance(module, nn.Embedding) else 1 / math.sqrt(like[0].numel())
    scaled, flat = block * scale, tensor.view(-1)
    whole = len(flat) // len(scaled) * len(scaled)
    flat[:whole].view(-1, len(scaled)).copy_(scaled)
    flat[whole:].copy_(scaled[: len(flat) - whole])
    return tensor


def _assemble(architecture: Architecture, networks: Mapping[str, Any]) -> Any:
    parts = architecture.parts
    config = dict(parts["scheduler"])
    tokenizer = letter_tokenizer(parts["text_encoder"]["vocab_size"], parts["max_tokens"])
    more: dict[str, Any] = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    if "text_encoder_2" in parts:
        more = {"tokenizer_2": tokenizer, "add_watermarker": False}
    try:
        kind, scheduler = getattr(diffusers, parts["pipeline"]), getattr(diffusers, config.pop("class"))
        with quiet_libraries():
            pipe = kind(**networks, tokenizer=tokenizer, scheduler=scheduler(**config), **more)
    except (AttributeError, KeyError, TypeError) as error:
        raise UsageError(f"--family {architecture.name}: diffusers does not take it: {error}") from error
    pipe.set_progress_bar_config(disable=True)
    return pipe


def letter_tokenizer(vocabulary: int, max_tokens: int) -> CLIPTokenizer:
    """A CLIP tokenizer without merges: a token a letter (ASCII), the end token last, padded and cut to `max_tokens`."""
    letters = [chr(code) for code in range(ord("!"), ord("~") + 1)]
    known = {token: index for index, token in enumerate([*letters, *(f"{letter}</w>" for letter in letters)])}
    known |= {"<|startoftext|>": vocabulary - 2, "<|endoftext|>": vocabulary - 1}
    return CLIPTokenizer(vocab=known, merges=[], model_max_length=max_tokens)


def _check_memory(name: str, weights: int, device: torch.device, dtype: torch.dtype) -> None:
    free = _free_bytes(device)
    if free is not None and weights * _HEADROOM > free:
        smaller = "" if dtype.itemsize == 2 else " use --dtype bfloat16 or float16, or"
        raise FewstepError(
            f"{name} in {str(dtype).removeprefix('torch.')} has {weights / 2**30:.1f} GiB of weights and"
            f" {free / 2**30:.1f} GiB are free;{smaller} take a smaller family or a larger machine"
        )


def _free_bytes(device: torch.device) -> int | None:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
