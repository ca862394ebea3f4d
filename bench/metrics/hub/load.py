"""Read a judge's files: transformers models whole or not at all, loose tensors from safetensors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from bench.errors import WeightsError
from bench.metrics.interface import MetricContext
from bench.metrics.judge_table import WEIGHTS
from bench.metrics.weights import files_of
from methods.pipelines import quiet_libraries

_ERRORS = (OSError, ValueError, RuntimeError, TypeError, KeyError, AttributeError, SafetensorError)
T = TypeVar("T")


def once(context: MetricContext, key: str, make: Callable[[], T]) -> T:
    """What `make` gives, made once in a run however many metrics want it."""
    if key not in context.loaded:
        context.loaded[key] = make()
    found: Any = context.loaded[key]
    return found  # type: ignore[no-any-return]


def pretrained(kind: Any, folder: Path, device: torch.device) -> Any:
    """A transformers model or tokenizer of class `kind`, in float32 and eval mode.

    Raises:
        WeightsError: where files are missing or damaged, or a weight of the model is not among them.
    """
    try:
        with quiet_libraries():
            if not issubclass(kind, nn.Module):
                return kind.from_pretrained(folder, local_files_only=True)
            model, info = kind.from_pretrained(
                folder, use_safetensors=True, local_files_only=True, dtype=torch.float32, output_loading_info=True
            )
    except _ERRORS as error:
        raise WeightsError(f"{folder}: transformers cannot load it: {_first_line(error)}") from error
    if info["missing_keys"]:
        raise WeightsError(f"{folder}: the weights lack {sorted(info['missing_keys'])[0]}; it is not a {kind.__name__}")
    return model.eval().requires_grad_(False).to(device)


def tensors(path: Path, name: str) -> dict[str, Tensor]:
    """The tensors of judge `name`, which is a safetensors file or a folder with one.

    Raises:
        WeightsError: where there is none or it is damaged.
    """
    files = [item for item in files_of(path, WEIGHTS[name]) if item.suffix == ".safetensors"]
    try:
        return load_file(files[0])
    except _ERRORS as error:
        raise WeightsError(f"{files[0]} is damaged: {_first_line(error)}") from error


def fill(network: nn.Module, state: dict[str, Tensor], path: Path, device: torch.device) -> None:
    """Load `state` into `network`, strictly, and make it ready to judge.

    Raises:
        WeightsError: naming the first weight that is missing, foreign or of another shape.
    """
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise WeightsError(f"{path}: the weights do not fit: {lines[-1]}") from error
    network.eval().requires_grad_(False).to(device)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
