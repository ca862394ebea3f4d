"""Low-rank adapters on a frozen UNet, by PEFT, in the layout that diffusers' `load_lora_weights` reads.

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", arXiv 2106.09685.

paper            here
A, B             "...lora_A.weight" (rank, in), "...lora_B.weight" (out, rank); filters likewise
alpha / r        1: the two are equal, so that the product is added as it is
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline
from torch import Tensor, nn

from methods.weights import LORA

TARGETS = (
    "to_q",
    "to_k",
    "to_v",
    "to_out.0",
    "proj_in",
    "proj_out",
    "ff.net.0.proj",
    "ff.net.2",
    "conv1",
    "conv2",
    "conv_shortcut",
    "downsamplers.0.conv",
    "upsamplers.0.conv",
    "time_emb_proj",
)
"""Every projection of the attention blocks, every convolution and the time projection of the residual blocks."""

_ADAPTER = "default"
_INNER = f".{_ADAPTER}."
_SEPARATOR = "/"  # a parameter's name has no dot


def add_lora(unet: Any, rank: int) -> None:
    """Freeze `unet` and give it an adapter that starts as zero (B is zero, A random from torch's global generator).

    On weights in half precision, which a frozen base can have under autocast, the adapter is float32: it learns.
    """
    from peft import LoraConfig  # takes seconds to import, and only a training needs it

    unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=list(TARGETS)), _ADAPTER)
    for parameter in Adapter(unet).parameters():
        if parameter.dtype in (torch.float16, torch.bfloat16):
            parameter.data = parameter.data.float()


class Adapter(nn.Module):
    """The adapter of a UNet as a network by itself, sharing its parameters: all that an optimiser, an EMA and a
    checkpoint need to know of it."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        for name, parameter in unet.named_parameters():
            if _INNER in name:
                self.register_parameter(name.replace(".", _SEPARATOR), parameter)

    def tensors(self) -> dict[str, Tensor]:
        """As `pipe.load_lora_weights` takes them: "unet.<module>.lora_A.weight" and so on."""
        return {
            f"unet.{name.replace(_SEPARATOR, '.').replace(_INNER, '.')}": parameter.detach()
            for name, parameter in self.named_parameters()
        }


def what_learns(unet: nn.Module) -> nn.Module:
    """The adapter of a UNet that has one, and the UNet itself otherwise."""
    adapted = any(_INNER in name for name, _ in unet.named_parameters())
    return Adapter(unet) if adapted else unet


def as_adapter(network: nn.Module) -> Adapter:
    """`network`, which is an adapter.

    Raises:
        TypeError: where it is another network.
    """
    if not isinstance(network, Adapter):
        raise TypeError(f"{type(network).__name__}: the student of LCM-LoRA is an adapter")
    return network


class WithoutAdapter(nn.Module):
    """A UNet as it was before it was given its adapter: the teacher of its own adapter, without a copy of it."""

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet, self.config = unet, unet.config

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        self.unet.disable_adapters()
        try:
            return self.unet(*args, **kwargs)
        finally:
            self.unet.enable_adapters()


@contextmanager
@torch.no_grad()
def wearing(unet: nn.Module, adapter: nn.Module) -> Iterator[nn.Module]:
    """`unet` with the numbers of another adapter, such as its average, for the length of a `with`."""
    mine = list(Adapter(unet).parameters())
    own = [parameter.clone() for parameter in mine]
    _copy(adapter.parameters(), mine)
    try:
        yield unet
    finally:
        _copy(own, mine)


def _copy(source: Iterable[Tensor], target: Iterable[Tensor]) -> None:
    for theirs, mine in zip(source, target, strict=True):
        mine.copy_(theirs)


def save_lora(folder: Path, tensors: dict[str, Tensor]) -> None:
    """Write an adapter's `tensors` so that stock `pipe.load_lora_weights(folder)` loads it."""
    layers = {name.removeprefix("unet."): tensor.contiguous() for name, tensor in tensors.items()}
    StableDiffusionXLPipeline.save_lora_weights(folder, unet_lora_layers=layers, weight_name=LORA)
