"""The three verdicts and the rules that give them; the numbers in the rules are data (`bench/published/rules.csv`)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Kind = Literal["reproduced", "differs", "not comparable"]

PAPER_TIES = "the paper's own difference is no larger than its error"
CANNOT_TELL = "cannot tell, our difference is within what chance explains"
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Verdict:
    """What can be said about one published value; `reason` says why where nothing can, and what it rests on else."""

    kind: Kind
    reason: str = ""

    @property
    def text(self) -> str:
        """`reproduced`, `differs`, or `not comparable: reason`."""
        return f"{self.kind}: {self.reason}" if self.kind == "not comparable" and self.reason else self.kind


@dataclass(frozen=True)
class Change:
    """A difference of ours with the ends of its interval; `told` says whether it is one beyond what chance explains."""

    value: float
    low: float
    high: float
    told: bool

    @property
    def sign(self) -> int:
        """-1 or 1 where the difference can be told, 0 where not."""
        return int(math.copysign(1, self.value)) if self.told else 0


def not_comparable(reason: str) -> Verdict:
    """The verdict that says nothing, with the reason."""
    return Verdict("not comparable", reason)


def by_order(published: float, tie: float, ours: Change) -> Verdict:
    """Whether ours differs from its reference in the direction in which the published value does.

    Args:
        published: the published value less the published reference.
        tie: the largest such difference that is read as none.
        ours: the same difference of ours, in a quantity that is better in the same direction.
    """
    if abs(published) <= tie * (1 + 1e-9):
        return not_comparable(PAPER_TIES)
    if ours.sign == 0:
        return not_comparable(CANNOT_TELL)
    return Verdict("reproduced" if ours.sign == math.copysign(1, published) else "differs")


def by_value(published: float, error: float, value: float, low: float, high: float) -> Verdict:
    """Whether ours and the published value agree, measured in the same way on the same data.

    The paper prints no intervals. Its value rests on as many images as ours, so it is given our standard error: the
    interval of the difference is ours times the square root of two, and the error of the print is added.
    """
    reach = math.sqrt(2) * (high - value if published > value else value - low) + error
    return Verdict("reproduced" if abs(published - value) <= reach else "differs")
