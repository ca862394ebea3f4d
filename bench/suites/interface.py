"""The one interface between the harness and a suite: prompts, reference, judges, checkpoints."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.judging import Judges, Prompt
from bench.suites.info import SuiteInfo

__all__ = ["Suite", "SuiteInfo"]


class Suite(ABC):
    """A prompt list with everything needed to judge images made from it. Construction is cheap; weights load lazily."""

    info: SuiteInfo

    @abstractmethod
    def prompts(self, limit: int | None = None) -> list[Prompt]:
        """The first `limit` prompts (the suite's default where None)."""

    @abstractmethod
    def judges(self, device: torch.device) -> Judges:
        """The judges on `device`, loaded once."""

    @abstractmethod
    def reference_features(self, extractor: str) -> Tensor:
        """float32 (M, D): features of the suite's reference images under the extractor of that name."""

    @property
    @abstractmethod
    def reference_protocol(self) -> str:
        """Which images the reference is, and how many: part of every score's protocol."""

    @property
    def description(self) -> Mapping[str, Any]:
        """What a suite of a user's files consists of (exact ids, crop, resize), as JSON data; stored with a run."""
        return {}

    @property
    def reference_is_of_prompts(self) -> bool:
        """Whether the reference images are the real images of the prompts, rather than others."""
        return False

    def reference_images(self) -> Iterator[Tensor] | None:
        """The reference images, uint8 (N, 3, H, W) at a time, or None where the suite has none to give."""
        return None

    def real_images(self, prompts: Sequence[Prompt]) -> Tensor | None:
        """uint8 (N, 3, H, W): a real image of each prompt, or None where the suite has none."""
        return None

    @abstractmethod
    def baseline_preference(self, prompts: Sequence[Prompt], seed: int) -> Tensor | None:
        """float32 (N,): the baseline's preference score for the same prompts and seed, None where it is not stored."""

    @abstractmethod
    def checkpoint(self, name: str) -> Path:
        """The pipeline folder of the weights that a method runs on in this suite, assembled on first use.

        `name` is the method's, or "<method>-<steps>" for one that has a checkpoint for each step count.

        Raises:
            WeightsError: where the suite has no such weights, naming the command that makes them.
        """
