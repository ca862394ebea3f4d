"""Tables of results as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from bench.record import Record
from bench.report.breakdown import Breakdown, breakdown
from bench.report.frame import Group, label
from bench.report.sheets import StoredPrompt
from bench.report.tables import HOW_MARKED, JUDGES, NO_REASON, Entry, Table, apart, results_table, select

README_COLUMNS = ("fd-shapes", "clip-shapes", "preference", "attributes", "latency_s")


def results_markdown(groups: Sequence[Group], prompts: Sequence[StoredPrompt] = (), health: Sequence[str] = ()) -> str:
    """The whole `results.md`: quality, cost, scores by kind of prompt and what was not measured, a section a group.

    `health` are the lines of `bench.report.health`, which come first.
    """
    lines = ["# Results", "", HOW_MARKED, "", JUDGES, "", *health]
    for group in groups:
        table = results_table(group)
        lines += [f"## {escape_markdown(group.key.title)}", ""]
        for kind, title in (("quality", "Quality"), ("cost", "Cost")):
            names = [column.name for column in table.columns if column.kind == kind]
            for who, part in apart(select(table, names)) if names else ():
                lines += [f"### {title}{who and f': {who}'}", "", *markdown_rows(part), ""]
        parted = breakdown(group, prompts)
        if parted is not None:
            lines += [f"### {escape_markdown(parted.title)} by kind of prompt", "", *_parted_rows(parted), ""]
        if group.missing:
            lines += ["### Not measured", "", *_missing_rows(group.missing), ""]
    return "\n".join(lines)


def readme_markdown(groups: Sequence[Group]) -> str:
    """The small table for README: the largest group of each suite, the main columns only (all where it has none)."""
    lines: list[str] = []
    suites: set[str] = set()
    for group in groups:
        if group.key.suite in suites:
            continue
        suites.add(group.key.suite)
        table = results_table(group)
        names = [name for name in README_COLUMNS if name in {column.name for column in table.columns}]
        if not table.rows:
            continue
        small = select(table, names or [column.name for column in table.columns])
        for who, part in apart(small):
            lines += [escape_markdown(f"{group.key.title}{who and f': {who}'}"), "", *markdown_rows(part), ""]
    return "\n".join([*lines, f"{HOW_MARKED} {JUDGES}"]) + "\n"


def markdown_rows(table: Table) -> list[str]:
    """The lines of one Markdown table."""
    heads = ["Method", "Steps", *(escape_markdown(column.header) for column in table.columns)]
    lines = [_pipe(heads), _pipe([":--", *["--:"] * (len(heads) - 1)])]
    rows = ([escape_markdown(row.method), str(row.steps), *map(_markdown_entry, row.entries)] for row in table.rows)
    return [*lines, *map(_pipe, rows)]


def escape_markdown(text: str) -> str:
    """`text` as it is, in a Markdown table cell."""
    for character in "\\`*_[]|":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.replace("&", "&amp;").replace("<", "&lt;").split())


def _markdown_entry(entry: Entry) -> str:
    if entry.value is None:
        return "–"
    value = f"**{entry.value}**" if entry.best else entry.value
    return value if entry.low_high is None else f"{value} {entry.low_high}"


def _parted_rows(parted: Breakdown) -> list[str]:
    lines = [_pipe(["Method", "Steps", *map(escape_markdown, parted.heads)])]
    lines.append(_pipe([":--", *["--:"] * (len(parted.heads) + 1)]))
    return lines + [_pipe([escape_markdown(method), str(steps), *texts]) for method, steps, texts, _ in parted.rows]


def _missing_rows(records: Sequence[Record]) -> list[str]:
    lines = [_pipe(["Method", "Steps", "Status", "Reason"]), _pipe([":--", "--:", ":--", ":--"])]
    for record in records:
        cell = record.cell
        texts = [label(cell), str(cell.num_inference_steps), record.status, record.reason or NO_REASON]
        lines.append(_pipe([escape_markdown(text) for text in texts]))
    return lines


def _pipe(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
