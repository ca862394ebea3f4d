"""What a claim is: sides of a comparison, the statistic, and on which side of a bound it has to lie. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Statistic = Literal["difference", "ratio"]
Direction = Literal["above", "below"]


@dataclass(frozen=True)
class Side:
    """Which records: a method at a step count, or a row of the ablations (which is ADD at one step)."""

    method: str
    steps: int
    row: str | None = None

    @property
    def title(self) -> str:
        """`add at 1 step`, or the row's name."""
        if self.row is not None:
            return self.row
        return f"{self.method} at {self.steps} step{'' if self.steps == 1 else 's'}"


@dataclass(frozen=True)
class Comparison:
    """`one` less (or over) `other` on a quantity has to lie `direction` of `bound`; with no other, `one` alone has."""

    quantity: str
    one: Side
    other: Side | None
    direction: Direction
    bound: float = 0.0
    statistic: Statistic = "difference"
    images_per_prompt: int = 1


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper, where it stands there, what it means here, and the comparisons it rests on.

    It holds where all of them do.
    """

    name: str
    text: str
    source: str
    criterion: str
    comparisons: tuple[Comparison, ...]
    command: str


def ablation(name: str) -> Side:
    """The row of Table 1 called `name`."""
    return Side("add", 1, name)
