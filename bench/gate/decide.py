"""From p-values to verdicts, over all checks of a gate at once.

Two errors, two rules. A false alarm is a REGRESSION or RECIPE_MISMATCH in any check of a gate whose two sides are
alike; as one is enough, the alarms of all cells are corrected together (Holm 1979) and the whole gate has one at most
with probability ALPHA. A gate passes only if every check passes, so each may be tested at BETA as it is: what is worse
by its margin passes at most with probability BETA (intersection-union test, Berger 1982).

A REGRESSION needs both: significantly worse, and worse by more than the margin as it stands. What is significantly
worse by less than the margin passes or needs more data; so no check is stuck, whatever its true change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bench.gate.verdicts import Check, Verdict

ALPHA = 0.01
"""How often a gate over two equal sides raises any alarm, at most."""

BETA = 0.05
"""How often a check passes that is worse by exactly its margin, at most."""


def holm(p_values: Sequence[float], family: int | None = None) -> list[float]:
    """Adjusted p-values (Holm 1979), in the order given; `family` is how many tests there are, if not only these."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    size = len(p) if family is None else max(family, len(p))
    adjusted = np.maximum.accumulate(p[order] * (size - np.arange(len(p))))
    found = np.empty_like(p)
    found[order] = np.minimum(adjusted, 1.0)
    return [float(value) for value in found]


def decide(checks: Sequence[Check]) -> list[Check]:
    """The same checks with verdicts; those that have one, and those that are only reported, stay as they are."""
    open_ = [index for index, check in enumerate(checks) if check.verdict is None and check.gated]
    tests = [(index, "worse", checks[index].p_worse) for index in open_]
    tests += [(index, "better", p) for index in open_ if (p := checks[index].p_better) is not None]
    adjusted = holm([p for _, _, p in tests])
    alarms = {(index, side) for (index, side, _), p in zip(tests, adjusted, strict=True) if p <= ALPHA}
    decided = list(checks)
    for index in open_:
        decided[index] = _verdict(checks[index], worse=(index, "worse") in alarms, better=(index, "better") in alarms)
    return decided


def undecided(checks: Sequence[Check]) -> bool:
    """Whether more rounds of measuring could still change what the gate says: no alarm yet, and a latency is open."""
    if any(check.verdict not in (None, Verdict.PASS, Verdict.INCONCLUSIVE) for check in checks):
        return False
    return any(check.verdict is Verdict.INCONCLUSIVE and check.kind == "latency" for check in checks)


def _verdict(check: Check, *, worse: bool, better: bool) -> Check:
    if better:
        return replace(
            check,
            verdict=Verdict.RECIPE_MISMATCH,
            note="better than the same recipe can be; if it is meant, store a new baseline or pass --expect-better",
        )
    if check.p_fine <= BETA:
        return replace(check, verdict=Verdict.PASS)
    if worse and check.beyond:
        return replace(check, verdict=Verdict.REGRESSION)
    return replace(check, verdict=Verdict.INCONCLUSIVE)
