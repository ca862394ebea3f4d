"""How pipelines are loaded in a run: where the weights wait, whether memory is saved, and which base is there already.

`with loading(Loading(...))` says so around calls of `Method.load`, whose own arguments say what is loaded and not how.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from methods.bases import Bases
from methods.errors import UsageError
from methods.hub.memory import OFFLOADS, check_memory, free_host_bytes


@dataclass(frozen=True)
class Loading:
    """`offload` is "none", "model" or "sequential" (a GPU is needed); `slicing` decodes and attends in slices.

    `bases` keeps the last pipeline, so that methods that are LoRAs on one base load it once; None keeps nothing.
    """

    offload: str = "none"
    slicing: bool = False
    bases: Bases | None = field(default=None, compare=False)

    def check(self, device: torch.device) -> None:
        """Refuse what `device` cannot do.

        Raises:
            UsageError: for offloading without a GPU, or in an unknown way.
        """
        if self.offload not in OFFLOADS:
            raise UsageError(f"--offload {self.offload!r} is not one of {', '.join(OFFLOADS)}")
        if self.offload != "none" and device.type == "cpu":
            raise UsageError(f"--offload {self.offload} needs a GPU; on a CPU the weights are where they wait")


_current: ContextVar[Loading] = ContextVar("loading", default=Loading())  # noqa: B039


def current() -> Loading:
    """What the innermost `loading` says."""
    return _current.get()


@contextmanager
def loading(options: Loading) -> Iterator[Loading]:
    """Load pipelines as `options` say, inside."""
    token = _current.set(options)
    try:
        yield options
    finally:
        _current.reset(token)


def check_room(folder: Path, device: torch.device, dtype: torch.dtype) -> None:
    """Refuse a pipeline that does not fit into memory, before any of it is read.

    Raises:
        FewstepError: with the size of each component and the options that help.
    """
    options = current()
    options.check(device)
    name = str(dtype).removeprefix("torch.")
    if device.type == "cuda":
        check_memory(folder, name, "cuda", _free_cuda_bytes(device), options.offload)
    check_memory(folder, name, "the machine", free_host_bytes())


def settle(pipe: Any, device: torch.device) -> Any:
    """Make `pipe` ready to run, its weights complete: `load_pipeline` left it on `device`, unless it is offloaded."""
    options = current()
    if options.slicing:
        pipe.enable_attention_slicing()
        pipe.vae.enable_slicing()
    if options.offload == "model":
        pipe.enable_model_cpu_offload(device=device)
    elif options.offload == "sequential":
        pipe.enable_sequential_cpu_offload(device=device)
    return pipe


def _free_cuda_bytes(device: torch.device) -> int:
    """Free on the GPU, with what torch holds in reserve."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
