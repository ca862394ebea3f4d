"""What a gate can say, and the exit status that goes with it: closed sets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Kind = Literal["quality", "latency"]


class Verdict(StrEnum):
    """Of one check, or of a whole gate."""

    PASS = "PASS"
    REGRESSION = "REGRESSION"
    INCONCLUSIVE = "INCONCLUSIVE"
    CALIBRATION_NEEDED = "CALIBRATION_NEEDED"
    RECIPE_MISMATCH = "RECIPE_MISMATCH"


EXIT_CODES = {
    Verdict.PASS: 0,
    Verdict.REGRESSION: 1,
    Verdict.INCONCLUSIVE: 3,
    Verdict.CALIBRATION_NEEDED: 4,
    Verdict.RECIPE_MISMATCH: 5,
}
"""2 is left to a request that makes no sense."""

PRECEDENCE = (
    Verdict.RECIPE_MISMATCH,
    Verdict.CALIBRATION_NEEDED,
    Verdict.REGRESSION,
    Verdict.INCONCLUSIVE,
    Verdict.PASS,
)
"""The first of these that any check has is the gate's: what cannot be compared comes before what compares badly."""


def overall(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict of a gate from those of its checks; PASS only where every check passed.

    A gate that checked nothing has shown nothing, and is INCONCLUSIVE.
    """
    found = set(verdicts)
    return next((verdict for verdict in PRECEDENCE if verdict in found), Verdict.INCONCLUSIVE)


@dataclass(frozen=True)
class Check:
    """One quantity of one cell, base against head.

    `change` is head less base in the shown unit (`unit`), or in percent of base where `relative`; `low` and `high` are
    the ends of its interval. `margin` is the worsening that is tolerated, in the same unit and positive; `band` the
    improvement beyond which the two cannot be of one protocol, None where there is no such bound.

    `p_worse`, `p_fine` and `p_better` are p-values against "not worse", "worse by the margin or more" and "better by
    no more than the band". `beyond` says that the change itself is worse than the margin. `more` says what would decide
    an undecided check. `verdict` is None until it is decided, and stays None for what is only reported (not `gated`).
    """

    cell: str
    kind: Kind
    quantity: str
    title: str
    unit: str
    change: float
    low: float
    high: float
    margin: float
    band: float | None = None
    base: float | None = None
    head: float | None = None
    relative: bool = False
    p_worse: float = 1.0
    p_fine: float = 1.0
    p_better: float | None = None
    beyond: bool = False
    n: int = 0
    more: str = ""
    note: str = ""
    verdict: Verdict | None = None
    gated: bool = True
    higher_is_better: bool = False


def settled(cell: str, kind: Kind, verdict: Verdict, note: str, quantity: str = "", title: str = "") -> Check:
    """A check whose verdict needs no test: `note` says why."""
    nothing = float("nan")
    return Check(cell, kind, quantity, title, "", nothing, nothing, nothing, nothing, note=note, verdict=verdict)
