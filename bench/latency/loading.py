"""Methods to time: on random weights of a registered architecture, on a suite's checkpoint, or on a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import torch

from bench import provenance, registry
from bench.architectures.build import build_pipeline
from bench.errors import UsageError
from bench.judging import Prompt
from bench.latency.plan import RANDOM, LatencyPlan
from bench.record import Cell
from bench.runner import Loaded
from bench.sampling import requests_of
from bench.suites.interface import Suite
from methods.interface import SampleRequest
from methods.names import NameTable
from methods.registry import is_released
from methods.sampling import PipelineMethod
from methods.weights import SDXL

PROMPT = "a lighthouse on a cliff above a stormy sea, seen from a small boat at dusk"
"""What networks with random weights are asked for; every prompt is padded to the same length."""


class Loader:
    """Methods by cell. What consecutive cells share is loaded once, and freed before the next is loaded."""

    def __init__(self, plan: LatencyPlan, known: NameTable | None = None) -> None:
        self._plan = plan
        self._known = known if known is not None else _methods()
        self._suite = cast(Suite, registry.SUITES.load(plan.suite.name)()) if plan.suite is not None else None
        self._last: dict[tuple[Any, ...], Any] = {}

    def load(self, cell: Cell) -> Loaded:
        """The method of `cell`, ready to sample.

        Raises:
            UsageError: for a method that cannot be built without its checkpoint.
            FewstepError: where weights are missing or do not fit into memory.
        """
        cls = self._known.load(cell.method)
        return self._random(cell, cls) if self._plan.architecture is not None else self._stored(cell, cls)

    def requests(self, cell: Cell) -> list[SampleRequest]:
        """The calls that timing goes round, `cell.batch_size` images each."""
        if self._suite is not None:
            prompts: Sequence[Prompt] = self._suite.prompts(cell.limit)
        else:
            prompts = [Prompt(f"{index:05}", PROMPT, "all") for index in range(cell.limit)]
        requests = requests_of(cell, prompts, cell.batch_size)
        return [replace(request, height=cell.height, width=cell.width) for request in requests]

    def _random(self, cell: Cell, cls: Any) -> Loaded:
        architecture = self._plan.architecture
        stock = issubclass(cls, PipelineMethod) and cls.family is SDXL and not is_released(cell.method)
        if architecture is None or not stock:
            raise UsageError(f"{cell.method} is no recipe on a stock pipeline; it cannot be built with random weights")
        embedded = cls.default_recipe.guidance == "embedded"
        key = (architecture.sha256, embedded, cell.device, cell.dtype)
        if key not in self._last:
            self._last.clear()
            pipe = build_pipeline(
                architecture,
                device=torch.device(cell.device),
                dtype=getattr(torch, cell.dtype),
                embedded_guidance=embedded,
            )
            self._last[key] = pipe, pipe.scheduler
        pipe, scheduler = self._last[key]
        pipe.scheduler = scheduler  # the checkpoint's own again: a method's scheduler takes over its settings
        return Loaded(cls(pipe, cls.default_recipe), f"{RANDOM}, architecture {architecture.sha256}")

    def _stored(self, cell: Cell, cls: Any) -> Loaded:
        given = self._plan.weights.get(cell.method)
        name = cell.method if given else cls.info.checkpoint(cell.num_inference_steps)
        key = (name, cell.device, cell.dtype)
        if key not in self._last:
            self._last.clear()
            folder = given if given is not None else cast(Suite, self._suite).checkpoint(name)
            method = cls.load(folder, device=torch.device(cell.device), dtype=getattr(torch, cell.dtype))
            self._last[key] = Loaded(method, provenance.folder_hash(folder))
        return cast(Loaded, self._last[key])


def _methods() -> NameTable:
    from methods.registry import METHODS

    return METHODS
