"""The bake-off: which methods are measured at which step counts, and which are trained from more seeds. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from bench.claims.claim import Comparison, Side
from bench.claims.table import CLAIMS, PROMPTS_OF_DIVERSITY
from methods.registry import BASELINES


@dataclass(frozen=True)
class Contender:
    """A method at the step counts of the paper's tables and studies."""

    method: str
    steps: tuple[int, ...]


CONTENDERS = (
    Contender("sdxl-dpm", (25, 8)),
    Contender("sdxl-euler", (50, 25)),
    Contender("add", (1, 2, 4)),
    Contender("lcm", (1, 2, 4)),
    Contender("lcm-lora", (1, 2, 4)),
    Contender("pd", (1, 2, 4)),
    Contender("gd", (4, 8)),
    Contender("cfg-aware", (8,)),
    Contender("instaflow", (1,)),
    Contender("ufogen", (1, 4)),
    Contender("gan", (1,)),
    Contender("dmd2", (1, 4)),
)
"""Table 2 and the user studies, with DMD2 as the rival from later."""

PROMPTS = 1000
METRICS = ("fd-shapes", "kid-shapes", "clip-shapes", "attributes", "preference")
"""Of the suite, as `bench run` measures by default."""


@dataclass(frozen=True)
class Asked:
    """A cell that the bake-off measures: a method at a step count, from one training seed."""

    method: str
    steps: int
    train_seed: int
    images_per_prompt: int = 1

    @property
    def prompts(self) -> int:
        """Of the test split."""
        return PROMPTS if self.images_per_prompt == 1 else PROMPTS_OF_DIVERSITY

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is measured: the suite's own scores, or the diversity of several images a prompt."""
        return METRICS if self.images_per_prompt == 1 else ("diversity",)


def asked(seeds: int) -> tuple[Asked, ...]:
    """Every cell of the bake-off over `seeds` training seeds: the tables' first, then what the claims need."""
    first = [Asked(item.method, steps, 0) for item in CONTENDERS for steps in item.steps]
    several = [
        Asked(side.method, side.steps, seed, comparison.images_per_prompt)
        for seed in range(seeds)
        for side, comparison in _sides()
        if seed == 0 or side.method not in BASELINES
    ]
    return tuple(dict.fromkeys((*first, *several)))


def _sides() -> list[tuple[Side, Comparison]]:
    """The methods that claims compare, rows of the ablations left out."""
    compared = [comparison for claim in CLAIMS for comparison in claim.comparisons]
    sides = [(side, comparison) for comparison in compared for side in (comparison.one, comparison.other)]
    return [(side, comparison) for side, comparison in sides if side is not None and side.row is None]
