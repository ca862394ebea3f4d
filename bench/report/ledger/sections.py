"""The ledger on the page: a section a table or figure of the paper, and one that counts the verdicts."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench.report.ledger.lines import Entry, Line, Part, Shown
from bench.report.ledger.write import KINDS, files, heads, summary_markdown
from bench.report.sections import Block, DataTable, Figure, Mark, Prose, Section, Value

_MARKS: dict[str, Mark] = {"reproduced": "good", "differs": "bad", "not comparable": "unknown"}


def summary(entries: Sequence[Entry]) -> Section:
    """The number of verdicts of each table and figure."""
    columns: dict[str, list[object]] = {"Table or figure": [entry.title for entry in entries]}
    for kind in KINDS:
        columns[kind.capitalize()] = [entry.counted[kind] for entry in entries]
    return Section(
        "paper", "The paper, regenerated",
        "Every table and figure of Adversarial Diffusion Distillation (arXiv 2311.17042): published values, ours with "
        "95 % intervals, and a verdict on each. A verdict speaks of what is compared, which each table says.",
        (DataTable(pd.DataFrame(columns), "How many published values are reproduced, differ, or cannot be compared."),),
        {"tables/reproduce.md": summary_markdown(entries).encode("utf-8")},
    )  # fmt: skip


def section(entry: Entry) -> Section:
    """One table or figure, with its files."""
    blocks: list[Block] = [Figure(item.stem, item.alt, item.caption, wide=True) for item in entry.pictures]
    for part in entry.parts:
        blocks.append(DataTable(_frame(part), f"{part.title}. Compared: {part.compared}"))
        blocks += [Prose(note) for note in part.notes]
    if not entry.parts and entry.verdict is not None:
        blocks.append(Prose(f"Verdict: {entry.verdict.text}."))
    blocks += [Prose(note.replace("`", "")) for note in entry.notes]
    if entry.command:
        blocks.append(Prose(f"What is missing is made, and all of it shown again, by: {entry.command}"))
    return Section(f"paper-{entry.slug}", entry.title, entry.lead, tuple(blocks), files(entry))


def _frame(part: Part) -> pd.DataFrame:
    rows = [_row(part, line) for line in part.lines]
    return pd.DataFrame(rows, columns=heads(part), dtype=object)


def _value(ours: Shown, said: str) -> Value:
    """Ours, or a dash; its reason stands there only where the verdict does not give it."""
    if ours.sort is None:
        return Value.missing("" if ours.reason in said else ours.reason)
    return Value(ours.text, ours.interval, ours.sort, ours.record, mark="best" if ours.best else "")


def _row(part: Part, line: Line) -> list[object]:
    said = f"{line.verdict.text} ({line.detail})" if line.detail else line.verdict.text
    ours = _value(line.ours, said)
    moved: list[object] = [line.published_difference, line.difference] if part.has_differences else []
    published = Value(line.published, sort=line.published_value)
    return [*line.heads, published, ours, *moved, Value(said, mark=_MARKS[line.verdict.kind])]
