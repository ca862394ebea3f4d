"""Figures 5, 6, 9 and 10: the user studies, pair by pair, with judges in place of people."""

from __future__ import annotations

from collections.abc import Sequence

from bench.published.tables import PublishedRow, published, rule
from bench.report.frame import Group
from bench.report.ledger.find import Found, answer, miniature
from bench.report.ledger.lines import Entry, Line, Part, Shown, valued
from bench.report.ledger.verdict import Change, by_order, not_comparable
from bench.report.ledger.votes import QUESTIONS, Question, Votes, votes

LEADS = {
    "5": "ADD at 1 step against other models: per cent of votes for ADD.",
    "6": "ADD at 4 steps against other models: per cent of votes for ADD.",
    "9": "The smaller student (ADD-M) at 1 step against the larger models.",
    "10": "The smaller student (ADD-M) at 4 steps against the larger models.",
}
_EVEN = 50.0


def study(groups: Sequence[Group], figure: str) -> Entry:
    """The entry of one of the figures."""
    group = miniature(groups)
    rows = [row for row in published("user_study") if row.keys["figure"] == figure]
    parts = tuple(_part(group, rows, question, figure) for question in QUESTIONS)
    shares = [line for part in parts for line in part.lines if line.detail]
    notes = ["The published percentages are read off the figure (± 0.5); 400 votes leave ± 4.9 on each."]
    if shares:
        notes.append(
            "Some records keep only whether an image beats the teacher's, not the preference model's score. Two images "
            "that both do, or both do not, then count as a tie, which draws shares towards 50 %: the side is right, "
            "the size is a lower bound. Measuring again (`python -m bench run … --force`) keeps the scores."
        )
    return Entry(
        f"figure{figure}",
        f"Figure {figure}: user study",
        f"{LEADS[figure]} People voted in the paper; here the preference model answers for image quality and the CLIP "
        "judge for prompt alignment, on the same prompts and seeds. What is compared is who is preferred.",
        parts,
        command=f"python -m bench reproduce figure{figure}",
        notes=tuple(notes),
    )


def _part(group: Group | None, rows: Sequence[PublishedRow], question: Question, figure: str) -> Part:
    pairs = [_pair(group, row) for row in rows]
    counted = [_counted(one, other, question) for one, other in pairs]
    told = _told([found for found in counted if found is not None])
    lines = [_line(row, *pair, found, told, question) for row, pair, found in zip(rows, pairs, counted, strict=True)]
    title = f"Figure {figure}, {question.title}"
    return Part(
        f"figure{figure}-{question.name}", title, ("ADD", "Opponent", "Steps"), "Votes of people (%)",
        f"Votes of the {question.judge} (%)", tuple(lines),
        f"who is preferred in {question.title}: is the share above or below 50 %?",
    )  # fmt: skip


def _pair(group: Group | None, row: PublishedRow) -> tuple[Found, Found]:
    keys = row.keys
    one = answer(group, "study", keys["add_model"], keys["add_steps"])
    return one, answer(group, "study", keys["opponent"], keys["opponent_steps"])


def _counted(one: Found, other: Found, question: Question) -> Votes | None:
    if one.record is None or other.record is None:
        return None
    return votes(one.record, other.record, question)


def _told(counted: Sequence[Votes]) -> set[int]:
    """Which of them (by identity) are not even odds, with Holm's correction over the figure and question."""
    if not counted:
        return set()
    from statsmodels.stats.multitest import multipletests  # takes a second to import

    rejected = multipletests([item.p_value for item in counted], alpha=0.05, method="holm")[0]
    return {id(item) for item, told in zip(counted, rejected, strict=True) if told}


def _line(row: PublishedRow, one: Found, other: Found, found: Votes | None, told: set[int], question: Question) -> Line:
    value = row.values[question.published]
    heads = (f"{row.keys['add_model']}, {row.keys['add_steps']}", row.keys["opponent"], row.keys["opponent_steps"])
    if found is None or one.record is None or other.record is None:
        reason = _reason(one, other, question)
        return Line(heads, value.shown, Shown(reason=reason), not_comparable(reason), "", "", value.number, row.note)
    low, high = found.interval
    ours = valued(found.share, low, high, 1, one.record)
    change = Change(found.share - _EVEN, low - _EVEN, high - _EVEN, id(found) in told)
    verdict = by_order(value.number - _EVEN, rule("votes_tie_pct"), change)
    detail = _undecided(found, question)
    return Line(heads, value.shown, ours, verdict, "", "", value.number, row.note, detail)


def _reason(one: Found, other: Found, question: Question) -> str:
    for found in (one, other):
        if found.record is None:
            return (
                found.reason if found.missing is None else f"{found.missing[0]} at {found.missing[1]}: {found.reason}"
            )
    return f"the records have no scores of the {question.judge}"


def _undecided(found: Votes, question: Question) -> str:
    return f"{100 * found.undecided:.0f} % undecided" if found.by == question.teacher else ""
