"""What a gate says in a terminal: a line a cell and kind, then one line in all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby

from bench.gate.run import Outcome
from bench.gate.verdicts import PRECEDENCE, Check, Verdict
from bench.report.display import digits_of, number

REPORTED = "reported"


def lines(outcome: Outcome) -> Iterator[str]:
    """All lines, without ends."""
    rows = [_row(list(group)) for group in grouped(outcome.checks)]
    width = max((len(row[0]) for row in rows), default=0)
    for cell, kind, verdict, text in rows:
        yield _printable(f"{cell:<{width}}  {kind:<7}  {verdict:<18}  {text}".rstrip())
    yield summary(outcome)


def summary(outcome: Outcome) -> str:
    """`1 regression in 8 checks · 3 rounds · 4 min · exit 1`."""
    gated = [check for check in outcome.checks if check.verdict is not None]
    counts = [
        f"{count} {_noun(verdict, count)}"
        for verdict in PRECEDENCE[:-1]
        if (count := sum(check.verdict is verdict for check in gated))
    ]
    found = f"{', '.join(counts)} in {len(gated)} checks" if counts else f"all {len(gated)} checks pass"
    rounds = f" · {outcome.rounds} round{'' if outcome.rounds == 1 else 's'}" if outcome.rounds else ""
    return f"{found}{rounds} · {_duration(outcome.seconds)} · {outcome.verdict} · exit {outcome.exit_code}"


def grouped(checks: Sequence[Check]) -> Iterator[list[Check]]:
    """The checks of each cell and kind, cells in the order of their first, the gravest check first."""
    order: dict[str, int] = {}
    for check in checks:
        order.setdefault(check.cell, len(order))
    ordered = sorted(checks, key=lambda check: (order[check.cell], check.kind))
    for _, group in groupby(ordered, key=lambda check: (check.cell, check.kind)):
        yield sorted(group, key=_gravity)


def describe(check: Check) -> str:
    """What was found, in words and numbers: `FD-shapes +0.02 [-0.05, +0.09], margin 0.30`."""
    if math.isnan(check.change):
        return check.note
    half = (check.high - check.low) / 2
    width = next((size for size in (half, check.margin / 10) if size > 0), 1.0)
    places = max(digits_of(width), 1 if check.relative else 0)
    unit = f" {check.unit}" if check.unit else ""
    ends = "" if math.isnan(half) else f" [{_signed(check.low, places)}, {_signed(check.high, places)}]"
    margin = "" if math.isnan(check.margin) else f", margin {number(check.margin, max(places, 1))}"
    text = f"{check.title} {_signed(check.change, places)}{unit}{ends}{margin}"
    details = [check.note] if check.note else []
    if check.verdict is Verdict.INCONCLUSIVE and check.more:
        details.append(f"{check.more} would decide")
    return "; ".join([text, *details])


def verdict_text(check: Check) -> str:
    """Its verdict, or `reported`."""
    return REPORTED if check.verdict is None else str(check.verdict)


def _row(checks: Sequence[Check]) -> tuple[str, str, str, str]:
    first = checks[0]
    alike = sum(check.verdict == first.verdict for check in checks[1:])
    others = len(checks) - 1 - alike
    rest = [f"{alike} more likewise"] if alike else []
    rest += [f"{others} other{'' if others == 1 else 's'} pass"] if others else []
    if any(check.verdict not in (first.verdict, Verdict.PASS) for check in checks):
        rest = [f"{len(checks) - 1} more"]
    text = describe(first) + (f" · {', '.join(rest)}" if rest else "")
    return first.cell, first.kind, verdict_text(first), text


def _printable(text: str) -> str:
    """Without line ends and what a terminal would obey."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _gravity(check: Check) -> int:
    return len(PRECEDENCE) if check.verdict is None else PRECEDENCE.index(check.verdict)


def _signed(value: float, places: int) -> str:
    text = number(value, places)
    return text if text.startswith("-") or float(text.replace(",", "")) == 0 else f"+{text}"


def _noun(verdict: Verdict, count: int) -> str:
    nouns = {
        Verdict.REGRESSION: ("regression", "regressions"),
        Verdict.INCONCLUSIVE: ("inconclusive", "inconclusive"),
        Verdict.CALIBRATION_NEEDED: ("in another environment", "in another environment"),
        Verdict.RECIPE_MISMATCH: ("recipe mismatch", "recipe mismatches"),
    }
    return nouns[verdict][count != 1]


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
