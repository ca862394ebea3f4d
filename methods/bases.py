"""Keep a loaded base pipeline while methods that are LoRAs on it come and go.

Adding a LoRA to the weights changes them; subtracting it again would leave rounding errors in every later image. So
the tensors that it touched are read again from the base's files, bit for bit, and no other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn

from methods.hub.hashes import sha256_of
from methods.hub.resolve import DENOISERS, LORA

_BESIDE = (LORA, "recipe.json", "manifest.json", "sources.json", ".gitattributes", "README.md")
"""Files that `from_pretrained` does not read: two folders that differ in them alone have one base."""

Key = tuple[tuple[tuple[str, str], ...], str, torch.dtype]


@dataclass
class _Held:
    key: Key
    pipe: Any
    scheduler: Any
    vae_config: dict[str, Any]
    folder: Path
    touched: set[str] = field(default_factory=set)


class Bases:
    """Holds one pipeline, the last that was loaded; `loads` counts how often one was read whole."""

    def __init__(self) -> None:
        self._held: _Held | None = None
        self.loads = 0

    def take(self, folder: Path, device: torch.device, dtype: torch.dtype) -> Any | None:
        """The pipeline of `folder` as it was when it was loaded, if it is the one that is held; else nothing is."""
        self.let_go(folder, device, dtype)
        if self._held is not None and not _restore(self._held):
            self._held = None  # its files name a tensor in another way: it is read whole
        return None if self._held is None else self._held.pipe

    def keep(self, pipe: Any, folder: Path, device: torch.device, dtype: torch.dtype) -> None:
        """Hold `pipe`, just loaded from `folder`."""
        self.loads += 1
        scheduler = getattr(pipe, "scheduler", None)  # a GAN has none
        self._held = _Held(_key(folder, device, dtype), pipe, scheduler, dict(pipe.vae.config), folder)

    def let_go(self, folder: Path, device: torch.device, dtype: torch.dtype) -> None:
        """Free what is held, unless it is the pipeline of `folder`."""
        if self._held is not None and self._held.key != _key(folder, device, dtype):
            self._held = None

    def touch(self, pipe: Any, names: set[str]) -> None:
        """Remember that tensors `names` of the denoiser of `pipe` are about to change."""
        if self._held is not None and self._held.pipe is pipe:
            self._held.touched |= names


def _key(folder: Path, device: torch.device, dtype: torch.dtype) -> Key:
    names = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    content = tuple((name, sha256_of(names[name])) for name in sorted(names) if name not in _BESIDE)
    return content, str(device), dtype


def _restore(held: _Held) -> bool:
    """Undo what a method does to a pipeline: its scheduler, its decoder's precision, a LoRA in its denoiser.

    False where a tensor that was touched is not found in the files.
    """
    pipe = held.pipe
    if held.scheduler is not None:
        pipe.scheduler = held.scheduler
    pipe.vae.register_to_config(**held.vae_config)
    nn.Module.to(pipe.vae, held.key[2])  # to float32 and back changes no value; diffusers' own warns
    if not held.touched:
        return True
    part = next(name for name in DENOISERS if getattr(pipe, name, None) is not None)
    network, folder = getattr(pipe, part), held.folder / part
    left = set(held.touched)
    parameters = dict(network.named_parameters())
    with torch.no_grad():
        for path in sorted(folder.glob("*.safetensors")):
            with safe_open(path, framework="pt") as file:
                for name in left & set(file.keys()):
                    parameters[name].copy_(file.get_tensor(name))
                left -= set(file.keys())
    held.touched = left
    return not left
