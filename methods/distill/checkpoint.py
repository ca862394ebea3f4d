"""Checkpoints of a training: safetensors and JSON, replaced atomically, resumed bit for bit."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

CHECKPOINT = "training.safetensors"


def save_checkpoint(
    folder: Path,
    step: int,
    networks: Mapping[str, nn.Module],
    optimizers: Mapping[str, Optimizer],
    extra: Mapping[str, Any],
) -> None:
    """Write networks, optimiser states, `step` and the JSON-able `extra` into one file of `folder`."""
    tensors: dict[str, Tensor] = {}
    for name, network in networks.items():
        tensors |= {f"network/{name}/{key}": value for key, value in network.state_dict().items()}
    for name, optimizer in optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{name}/{index}/{key}": torch.as_tensor(value) for key, value in state.items()}
    metadata = {"step": str(step), "extra": json.dumps(dict(extra))}
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / (CHECKPOINT + ".partial")
    save_file(
        {key: value.detach().to("cpu", copy=True).contiguous() for key, value in tensors.items()}, partial, metadata
    )
    os.replace(partial, folder / CHECKPOINT)


def checkpoint_step(folder: Path) -> int:
    """The step of the checkpoint in `folder`, without its tensors; 0 where there is none."""
    path = folder / CHECKPOINT
    if not path.exists():
        return 0
    with safe_open(path, framework="pt") as file:
        return int(file.metadata()["step"])


def load_checkpoint(
    folder: Path, networks: Mapping[str, nn.Module], optimizers: Mapping[str, Optimizer]
) -> tuple[int, dict[str, Any]] | None:
    """Restore what `save_checkpoint` wrote and return (step, extra), or None where there is no checkpoint."""
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a dict)
    for name, network in networks.items():
        network.load_state_dict(_below(tensors, f"network/{name}/"))
    for name, optimizer in optimizers.items():
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in _below(tensors, f"optimizer/{name}/").items():
            index, field = key.rsplit("/", 1)
            state.setdefault(int(index), {})[field] = value
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    return int(metadata["step"]), json.loads(metadata["extra"])


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
