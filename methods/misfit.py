"""Which tensor of a pipeline folder is not of the shape that its own configuration asks for. Asked after a failure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from torch import nn

from methods.errors import WeightsError
from methods.hub.headers import TensorHeader, read_header

_PREFIX = "text_model."  # transformers stores it, and its modules may or may not have it


def misfit(folder: Path) -> str | None:
    """The first component and tensor that do not fit, in a sentence; None where that is not what is wrong."""
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
        for part, value in index.items():
            files = sorted((folder / part).glob("*.safetensors"))
            if isinstance(value, list) and files:
                stored = {name: tensor for file in files for name, tensor in read_header(file).items()}
                if reason := _compare(part, _on_meta(folder / part, *value), stored):
                    return reason
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, WeightsError):
        return None
    return None


def _on_meta(folder: Path, library: str, kind: str) -> nn.Module:
    """The network that the configuration describes, without memory for its weights."""
    module: Any = {"diffusers": diffusers, "transformers": transformers}[library]
    cls = getattr(module, kind)
    with torch.device("meta"):
        if library == "diffusers":
            return cls.from_config(cls.load_config(folder))  # type: ignore[no-any-return]
        return cls(cls.config_class.from_pretrained(folder))  # type: ignore[no-any-return]


def _compare(part: str, network: nn.Module, stored: Mapping[str, TensorHeader]) -> str | None:
    found = {name.removeprefix(_PREFIX): tensor.shape for name, tensor in stored.items()}
    for name, parameter in network.named_parameters():
        shape = found.get(name.removeprefix(_PREFIX), tuple(parameter.shape))
        if shape != tuple(parameter.shape):
            return f"{part}: {name} is {shape} in its file, but its config.json asks for {tuple(parameter.shape)}"
    return None
