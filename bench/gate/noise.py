"""The noise floor, kept per machine: how far apart the two sides of A/A rounds were.

One JSON file a machine and environment in the cache folder; calibrating again adds rounds, the oldest go.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from platformdirs import user_cache_path

from bench.errors import FewstepError
from bench.folder import write_json
from bench.gate.latency import GATED, Floor, Pair, log_ratios
from bench.gate.signed_rank import centre
from bench.machine import machine_facts

ROUNDS = 10
"""A/A rounds of a first calibration."""

KEPT = 60
"""Rounds that are kept."""

_TO_SPREAD = 1 / 0.6745
"""A standard deviation in median sizes of what is normally distributed about zero."""

CACHE_VARIABLE = "FEWSTEP_CACHE"


@dataclass(frozen=True)
class NoiseStore:
    """The A/A rounds of one machine: {stage: logarithm of the ratio of the sides}, one a cell and round."""

    path: Path

    def floors(self) -> dict[str, Floor]:
        """The floor of each gated stage; of no values where nothing is stored, or what is stored is damaged."""
        return floors_of(self._rounds())

    @property
    def rounds(self) -> int:
        """How many A/A rounds are kept."""
        return len(self._rounds())

    def clear(self) -> None:
        """Forget all rounds."""
        self.path.unlink(missing_ok=True)

    def add(self, cells: Sequence[Sequence[Pair]]) -> None:
        """Keep one A/A round: the pairs of each cell.

        Raises:
            FewstepError: where the cache folder cannot be written.
        """
        try:
            write_json(self.path, {"rounds": [*self._rounds(), ratios_of(cells)][-KEPT:]})
        except OSError as error:
            raise FewstepError(
                f"cannot keep the noise floor in {self.path.parent} ({error.strerror}); set {CACHE_VARIABLE} to a "
                "folder that can be written"
            ) from error

    def _rounds(self) -> list[dict[str, list[float]]]:
        try:
            rounds = json.loads(self.path.read_text(encoding="utf-8"))["rounds"]
            return [{stage: [float(x) for x in values] for stage, values in item.items()} for item in rounds]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return []


def ratios_of(cells: Sequence[Sequence[Pair]]) -> dict[str, list[float]]:
    """{stage: the ratio of the sides, as a logarithm, of each cell} of one A/A round."""
    return {stage: [value for pairs in cells if (value := _ratio(pairs, stage)) is not None] for stage in GATED}


def floors_of(rounds: Sequence[Mapping[str, Sequence[float]]]) -> dict[str, Floor]:
    """The spread of the ratios by stage, over cells and rounds.

    It is that of ordinary rounds (median size, scaled as for a normal distribution): an odd one is told by the others
    of its gate, and must not blind all gates to come.
    """
    found = {}
    for stage in GATED:
        sizes = np.abs([value for item in rounds for value in item.get(stage, ())])
        found[stage] = Floor(_TO_SPREAD * float(np.median(sizes)) if len(sizes) else math.inf, len(sizes))
    return found


def store_for(device: str, threads: int | None = None) -> NoiseStore:
    """The store of this machine, these versions, and this number of threads."""
    facts: Mapping[str, Any] = {
        "machine": machine_facts(),
        "torch": version("torch"),
        "python": platform.python_version(),
        "device": device,
        "threads": threads or os.environ.get("OMP_NUM_THREADS"),
    }
    name = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    named = os.environ.get(CACHE_VARIABLE)
    folder = Path(named) if named else user_cache_path("fewstep-bench")
    return NoiseStore(folder / "gate" / f"noise-{name}.json")


def _ratio(pairs: Sequence[Pair], stage: str) -> float | None:
    ratios = log_ratios(pairs, stage)
    return centre(ratios)[0] if len(ratios) else None
