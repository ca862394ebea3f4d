"""Tables of results as LaTeX (booktabs)."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report.frame import Group, label
from bench.report.tables import NO_REASON, Entry, Table, apart, results_table, select

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "·": r"$\cdot$", "“": "``", "”": "''",
    "\n": " ",
}  # fmt: skip


def results_latex(groups: Sequence[Group]) -> str:
    """`results.tex`: tables for `\\input`, needing only the booktabs package."""
    blocks = ["% Needs \\usepackage{booktabs}. Each tabular is one group; wrap it in a table environment of your own."]
    for group in groups:
        table = results_table(group)
        for kind in ("quality", "cost"):
            names = [column.name for column in table.columns if column.kind == kind]
            for who, part in apart(select(table, names)) if names else ():
                blocks.append(_latex_table(part, f"{group.key.title} · {kind}{who and f': {who}'}"))
        if group.missing:
            blocks.append(_latex_missing(group))
    return "\n\n".join(blocks) + "\n"


def escape_latex(text: str) -> str:
    """`text` with every character that LaTeX reads as markup written out."""
    return "".join(_LATEX.get(character, character) for character in text)


def _latex_table(table: Table, title: str) -> str:
    heads = ["Method", "Steps", *(escape_latex(column.header) for column in table.columns)]
    lines = [
        f"% {_comment(title)}",
        rf"\begin{{tabular}}{{lr{'r' * len(table.columns)}}}",
        r"\toprule",
        " & ".join(heads) + r" \\",
        r"\midrule",
    ]
    for place, row in enumerate(table.rows):
        if place and row.steps != table.rows[place - 1].steps:
            lines.append(r"\addlinespace")
        cells = [escape_latex(row.method), str(row.steps), *map(_latex_entry, row.entries)]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _latex_entry(entry: Entry) -> str:
    if entry.value is None:
        return "--"
    value = latex_number(entry.value)
    value = rf"\textbf{{{value}}}" if entry.best else value
    return value if entry.low_high is None else rf"{value} {{\scriptsize {latex_number(entry.low_high)}}}"


def latex_number(text: str) -> str:
    """`text` with minus signs instead of hyphens."""
    return text.replace("-", "$-$")


def _latex_missing(group: Group) -> str:
    lines = [
        f"% {_comment(group.key.title)} · not measured",
        r"\begin{tabular}{lrlp{0.5\linewidth}}",
        r"\toprule",
        r"Method & Steps & Status & Reason \\",
        r"\midrule",
    ]
    for record in group.missing:
        reason = escape_latex(record.reason or NO_REASON)
        cell = record.cell
        lines.append(rf"{escape_latex(label(cell))} & {cell.num_inference_steps} & {record.status} & {reason} \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _comment(text: str) -> str:
    return " ".join(text.split())
