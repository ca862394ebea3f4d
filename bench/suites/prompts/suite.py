"""Suites that are a list of prompts and nothing else: PartiPrompts, and a file of the user's."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.errors import UsageError, WeightsError
from bench.judging import Judges, Prompt
from bench.suites.interface import Suite
from bench.suites.prompts.info import parti_info, prompts_info
from bench.suites.prompts.rows import Row, read_rows


class PromptsSuite(Suite):
    """Prompt i is row i of the file. There are no reference images, so distances to a reference cannot be had."""

    def __init__(self, path: Path) -> None:
        self.info = prompts_info(path)
        self._path = path

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """All prompts of the file."""
        return read_rows(self._path)

    def prompts(self, limit: int | None = None) -> list[Prompt]:
        """The first `limit` prompts (all where None).

        Raises:
            UsageError: for a limit outside 1 to all.
        """
        n = len(self.rows) if limit is None else limit
        if not 1 <= n <= len(self.rows):
            raise UsageError(f"limit {n}: {self._path.name} has 1 to {len(self.rows):,} prompts")
        return [Prompt(row.id, row.text, row.category) for row in self.rows[:n]]

    def judges(self, device: torch.device) -> Judges:
        """None: a list of prompts has no judges of its own."""
        return Judges()

    def reference_features(self, extractor: str) -> Tensor:
        raise WeightsError(f"suite {self.info.name!r} has no reference images")

    @property
    def reference_protocol(self) -> str:
        return "none"

    @property
    def description(self) -> Mapping[str, Any]:
        return {"suite": self.info.name, "prompts": len(self.rows), "sha256": rows_hash(self.rows)}

    def baseline_preference(self, prompts: Sequence[Prompt], seed: int) -> Tensor | None:
        return None

    def checkpoint(self, name: str) -> Path:
        raise WeightsError(no_checkpoint(self.info.name, name))


class PartiSuite(PromptsSuite):
    """PartiPrompts (arXiv 2206.10789): 1,632 prompts with a category each, in the order of the published file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.info = parti_info(path)


def rows_hash(rows: Sequence[Row]) -> str:
    """sha256 over ids, texts and categories, in order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(f"{row.id}\0{row.text}\0{row.category}\0".encode())
    return digest.hexdigest()


def no_checkpoint(suite: str, method: str) -> str:
    """One line for a suite without weights of its own."""
    return f"suite {suite!r} has no weights for {method!r}; name a pipeline folder: --weights {method}=FOLDER"
