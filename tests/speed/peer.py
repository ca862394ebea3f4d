"""Runs diffusers' `train_lcm_distill_sdxl_wds.py`, from a file of the user's, on the suite's teacher, a step at a time.

Nothing of it is kept here. What is changed in memory: the sizes of the null condition, which it has written down for
SDXL; its loader of web shards, replaced by batches that are ready; on request, mixed precision of its teacher.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch import Tensor

_NOT_INSTALLED = ("webdataset", "webdataset.tariterators", "braceexpand")
_NULL = ("(args.train_batch_size, 77, 2048)", "(args.train_batch_size, 1280)")
_AUTOCAST = "autocast_ctx = torch.autocast(accelerator.device.type)"


def load_script(path: Path, *, tokens: int, width: int, pooled: int, autocast: bool) -> ModuleType:
    """The script as a module, with a null condition of the suite's sizes; `autocast` as it is, or off."""
    source = path.read_text(encoding="utf-8")
    changes = {
        _NULL[0]: f"(args.train_batch_size, {tokens}, {width})",
        _NULL[1]: f"(args.train_batch_size, {pooled})",
        **({} if autocast else {_AUTOCAST: "autocast_ctx = nullcontext()"}),
    }
    for old, new in changes.items():
        if old not in source:
            raise ValueError(f"{path}: no {old!r} in it; it is another version of the script")
        source = source.replace(old, new)
    absent = {name: mock.MagicMock() for name in _NOT_INSTALLED if name not in sys.modules}
    module = ModuleType("peer")
    module.__file__ = str(path)
    with mock.patch.dict(sys.modules, absent):
        exec(compile(source, str(path), "exec"), module.__dict__)
    return module


class Loader:
    """Batches as its loader yields them; `between` runs while the script waits for the next one."""

    def __init__(self, batches: list[tuple[Any, ...]], between: Callable[[], None]) -> None:
        self.batches, self.between = batches, between
        self.num_batches = self.num_samples = len(batches)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        for batch in self.batches:
            self.between()
            yield batch
        self.between()


class ReadyVae:
    """In the place of the autoencoder: the latents are there."""

    dtype = torch.float32

    def __init__(self, latents: Tensor) -> None:
        self.config = SimpleNamespace(scaling_factor=1.0)
        self._latents, self._next = latents, 0

    def encode(self, pixels: Tensor) -> Any:
        """The latents of the next images of the batch."""
        start, self._next = self._next, (self._next + len(pixels)) % len(self._latents)
        rows = self._latents[start : start + len(pixels)]
        return SimpleNamespace(latent_dist=SimpleNamespace(sample=lambda: rows))

    def requires_grad_(self, wanted: bool) -> None: ...

    def to(self, *_: Any, **__: Any) -> None: ...


@contextmanager
def everything_ready(module: Any, latents: Tensor, embeds: Tensor, pooled: Tensor) -> Iterator[None]:
    """Without autoencoder and text encoders: both hand out what was computed before."""
    with (
        mock.patch.object(module.AutoencoderKL, "from_pretrained", return_value=ReadyVae(latents)),
        mock.patch.object(module, "encode_prompt", return_value=(embeds, pooled)),
    ):
        yield


def run_main(module: Any, loader: Loader, arguments: list[str]) -> None:
    """Its `main` on `loader`, to the end of the batches."""
    dataset = SimpleNamespace(train_dataloader=loader)
    with (
        mock.patch.object(sys, "argv", ["peer", *arguments]),
        mock.patch.object(module, "SDXLText2ImageDataset", return_value=dataset),
    ):
        args = module.parse_args()
        args.report_to = None
        module.main(args)
