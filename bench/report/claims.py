"""The ablations and the claims as rows of text: one place for the terminal, Markdown and CSV."""

from __future__ import annotations

from collections.abc import Sequence

from bench.claims.ablated import PRINTED, SHOWN, AblatedRow, Measured
from bench.claims.ablations import TITLES
from bench.claims.claim import Comparison
from bench.claims.judge import Evidence, Judged
from bench.claims.pooled import Pooled
from bench.report.display import digits_of, number

ABLATION_HEADS = (
    "panel", "setting", "ours", "published FID ↓", "FD-shapes ↓ [95 %]", "FID goes", "published CLIP ↑",
    "CLIP-shapes ↑ [95 %]", "CLIP goes", "preference ↑ [95 %]", "seeds",
)  # fmt: skip
CLAIM_HEADS = ("claim", "in the paper", "verdict", "because")

HOW_ABLATED = (
    "Published values are COCO zero-shot FID-5k and CLIP score at one step; ours are this suite's own scores at one "
    "step of a short training, so values are not comparable and only their changes are: “goes” says where a score goes "
    "against the default of its panel, as published and here, and whether the two agree. Intervals go over training "
    "seeds and images."
)
HOW_JUDGED = (
    "A claim holds where every comparison's 95 % interval, over training seeds and images of the test split, lies "
    "where it says; it does not where one lies on the other side even when widened for the number of comparisons."
)


def with_interval(value: Pooled) -> str:
    """`3.1 [2.7, 3.5]`, with two significant digits of the half-width."""
    places = digits_of((value.high - value.low) / 2)
    shown, low, high = (number(part, places) for part in (value.value, value.low, value.high))
    return shown if value.low == value.high else f"{shown} [{low}, {high}]"


def ablation_rows(rows: Sequence[AblatedRow]) -> list[list[str]]:
    """A line a row of the table, as under `ABLATION_HEADS`."""
    return [_ablation_row(item) for item in rows]


def _ablation_row(item: AblatedRow) -> list[str]:
    row, values = item.row, item.published.values
    ours = row.ours or (f"as {item.same_as}" if item.same_as else "")
    fd, clip, preference = (_score(item, name) for name in SHOWN)
    return [
        f"({row.panel}) {TITLES[row.panel]}", row.setting, ours, values["fid"].text, fd, _goes(item, "fd-shapes"),
        values["clip_score"].text, clip, _goes(item, "clip-shapes"), preference, item.reason or str(item.seeds),
    ]  # fmt: skip


def _score(item: AblatedRow, name: str) -> str:
    score: Measured | None = item.scores.get(name)
    return "" if score is None else with_interval(score.value)


def _goes(item: AblatedRow, name: str) -> str:
    """`worse | worse: reproduced`."""
    if name not in PRINTED or item.reason is not None:
        return ""
    ours, theirs = item.scores[name].verdict, item.printed[name]
    return "default" if theirs == "default" else f"{theirs} | {ours}: {item.agreement(name)}"


def ablation_csv_rows(rows: Sequence[AblatedRow]) -> tuple[list[str], list[list[object]]]:
    """Heads and a line a (row, score), with all numbers."""
    heads = [
        "panel", "setting", "name", "same_as", "seeds", "quantity", "published", "published_change", "value", "ci_low",
        "ci_high", "change", "change_ci_low", "change_ci_high", "verdict", "agreement", "reason",
    ]  # fmt: skip
    return heads, [_csv_row(item, name) for item in rows for name in SHOWN]


def _csv_row(item: AblatedRow, name: str) -> list[object]:
    printed = item.published.values[PRINTED[name][0]].text if name in PRINTED else ""
    place = [item.row.panel, item.row.setting, item.row.name, item.same_as, item.seeds, name, printed]
    score = item.scores.get(name)
    if score is None:
        return [*place, item.printed.get(name, ""), *[""] * 8, item.reason or ""]
    change = [""] * 3 if score.change is None else _numbers(score.change)
    values = [*_numbers(score.value), *change, score.verdict, item.agreement(name), ""]
    return [*place, item.printed.get(name, ""), *values]


def claim_rows(judged: Sequence[Judged]) -> list[list[str]]:
    """A line a claim, as under `CLAIM_HEADS`."""
    return [[item.claim.text, item.claim.source, item.verdict, because(item)] for item in judged]


def because(item: Judged) -> str:
    """The comparison that decides: what is missing, what contradicts, what does not tell, or the closest that holds."""
    if item.reason is not None:
        return item.reason
    against = [part for part in item.evidence if part.contradicts]
    unclear = [part for part in item.evidence if not part.agrees and part.missing is None]
    shown = (against or unclear or list(item.evidence))[:3]
    more = len(against or unclear or item.evidence) - len(shown)
    lacking = 0 if against else sum(part.missing is not None for part in item.evidence)
    rest = (f"{more} more" if more else "", f"{lacking} that lack training seeds" if lacking else "")
    return "; and ".join(["; ".join(_said(part) for part in shown), *(text for text in rest if text)])


def evidence_csv_rows(judged: Sequence[Judged]) -> tuple[list[str], list[list[object]]]:
    """Heads and a line a comparison, with all numbers."""
    heads = [
        "claim", "verdict", "quantity", "statistic", "one", "other", "direction", "bound", "value", "ci_low", "ci_high",
        "wide_ci_low", "wide_ci_high", "degrees", "seeds", "prompts", "missing",
    ]  # fmt: skip
    return heads, [_evidence_row(item, part) for item in judged for part in item.evidence]


def _evidence_row(item: Judged, part: Evidence) -> list[object]:
    said = part.comparison
    other = "" if said.other is None else said.other.title
    place = [item.claim.name, item.verdict, said.quantity, said.statistic, said.one.title, other, said.direction]
    if part.interval is None or part.wide is None:
        return [*place, said.bound, *[""] * 6, part.seeds, part.prompts, part.missing or ""]
    values = [*_numbers(part.interval), *_numbers(part.wide)[1:], f"{part.interval.degrees:.4g}"]
    return [*place, said.bound, *values, part.seeds, part.prompts, ""]


def _said(part: Evidence) -> str:
    """`fd-shapes, add at 1 step less lcm at 1 step: -1.2 [-1.9, -0.5], claimed below 0`."""
    return f"{comparison_text(part.comparison)}: {_value(part)}"


def comparison_text(said: Comparison) -> str:
    """What is compared, and where it is claimed to lie."""
    sides = said.one.title
    if said.other is not None:
        sides += f" {'over' if said.statistic == 'ratio' else 'less'} {said.other.title}"
    return f"{said.quantity}, {sides} (claimed {said.direction} {said.bound:g})"


def _value(part: Evidence) -> str:
    return part.missing or "" if part.interval is None else with_interval(part.interval)


def _numbers(value: Pooled) -> list[object]:
    return [f"{part:.6g}" for part in (value.value, value.low, value.high)]
