"""The ledger as Markdown, LaTeX (booktabs) and CSV: published | ours with interval | verdict."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from bench.report.latex import escape_latex, latex_number
from bench.report.ledger.lines import Entry, Line, Part, Shown
from bench.report.ledger.verdict import Verdict
from bench.report.markdown import escape_markdown

KINDS = ("reproduced", "differs", "not comparable")
HOW = (
    "*Reproduced* and *differs* speak of what is compared, which each table says; *not comparable* says why. Intervals "
    "are 95 %. docs/reproduce.md has the rules."
)
CSV_HEADS = (
    "entry", "table", "row", "published", "published_value", "ours", "ci_low", "ci_high", "published_difference",
    "difference", "verdict", "reason", "record", "detail", "note",
)  # fmt: skip


def entry_markdown(entry: Entry) -> str:
    """One table or figure of the paper."""
    lines = [f"# {escape_markdown(entry.title)}", "", escape_markdown(entry.lead), ""]
    for picture in entry.pictures:
        kind = next(kind for kind in ("svg", "png", "webp") if kind in picture.data)
        lines += [f"![{escape_markdown(picture.alt)}](../figures/{picture.stem}.{kind})", ""]
        if picture.caption:
            lines += [escape_markdown(picture.caption), ""]
    for part in entry.parts:
        lines += [f"## {escape_markdown(part.title)}", "", f"Compared: {escape_markdown(part.compared)}", ""]
        lines += [*_markdown_rows(part), "", *(line for note in part.notes for line in (escape_markdown(note), ""))]
    if not entry.parts and entry.verdict is not None:
        lines += [f"Verdict: {escape_markdown(entry.verdict.text)}.", ""]
    lines += [line for note in entry.notes for line in (_plain_code(note), "")]
    if entry.command:
        lines += [f"What is missing is made, and all of it shown again, by `{entry.command}`.", ""]
    return "\n".join([*lines, HOW, ""])


def summary_markdown(entries: Sequence[Entry]) -> str:
    """Every table and figure with the number of its verdicts."""
    lines = ["# The paper, regenerated", "", "Adversarial Diffusion Distillation, arXiv 2311.17042. " + HOW, ""]
    lines += ["| Table or figure | Reproduced | Differs | Not comparable |", "| :-- | --: | --: | --: |"]
    for entry in entries:
        numbers = [str(entry.counted[kind] or "–") for kind in KINDS]
        lines.append(f"| [{escape_markdown(entry.title)}]({entry.slug}.md) | {' | '.join(numbers)} |")
    return "\n".join([*lines, ""])


def entry_csv(entry: Entry) -> str:
    """A line a published value."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_HEADS)
    writer.writerows(_csv_row(entry, part, line) for part in entry.parts for line in part.lines)
    return text.getvalue()


def entry_latex(entry: Entry) -> str:
    """A tabular a table, for `\\input`; needs only booktabs."""
    blocks = ["% Needs \\usepackage{booktabs}. Each tabular is one score; wrap it in a table environment of your own."]
    return "\n\n".join([*blocks, *map(_tabular, entry.parts)]) + "\n"


def files(entry: Entry) -> dict[str, bytes]:
    """{path below the report: bytes} of an entry: its texts, and its pictures."""
    made = {f"tables/{entry.slug}.md": entry_markdown(entry)}
    if entry.parts:
        made |= {f"tables/{entry.slug}.csv": entry_csv(entry), f"tables/{entry.slug}.tex": entry_latex(entry)}
    drawn = {
        f"figures/{picture.stem}.{kind}": data for picture in entry.pictures for kind, data in picture.data.items()
    }
    return {name: text.encode("utf-8") for name, text in made.items()} | drawn


def heads(part: Part) -> list[str]:
    """The heads of a part's columns."""
    moved = [f"{part.difference}, published", f"{part.difference}, ours"] if part.has_differences else []
    return [*part.heads, f"{part.published}, published", f"{part.ours}, ours [95 %]", *moved, "Verdict"]


def _markdown_rows(part: Part) -> list[str]:
    columns = heads(part)
    aligned = [":--"] * len(part.heads) + ["--:"] * (len(columns) - len(part.heads) - 1) + [":--"]
    return [_pipe(map(escape_markdown, columns)), _pipe(aligned), *(_pipe(_cells(part, line)) for line in part.lines)]


def _cells(part: Part, line: Line) -> list[str]:
    moved = [line.published_difference, line.difference] if part.has_differences else []
    ours = f"**{line.ours.text}** {line.ours.interval}".rstrip() if line.ours.best else line.ours.whole
    texts = [*map(escape_markdown, line.heads), escape_markdown(line.published), _unescaped_stars(ours)]
    return [*texts, *map(escape_markdown, moved), _verdict(line.verdict, line.detail)]


def _unescaped_stars(text: str) -> str:
    return text.replace("[", "\\[").replace("]", "\\]")


def _verdict(verdict: Verdict, detail: str) -> str:
    said = f"**{verdict.kind}**" if verdict.kind != "not comparable" else escape_markdown(verdict.text)
    return f"{said} ({escape_markdown(detail)})" if detail else said


def _plain_code(note: str) -> str:
    """Escaped, but for what stands between backticks."""
    parts = note.split("`")
    return "".join(f"`{part}`" if place % 2 else _spaced(part) for place, part in enumerate(parts))


def _spaced(part: str) -> str:
    """Escaped, with the spaces at its ends."""
    before, after = part[: len(part) - len(part.lstrip())], part[len(part.rstrip()) :]
    return f"{before}{escape_markdown(part)}{after}"


def _csv_row(entry: Entry, part: Part, line: Line) -> list[object]:
    numbers = ["" if value is None else f"{value:.6g}" for value in (line.ours.sort, line.ours.low, line.ours.high)]
    known = "" if line.published_value is None else f"{line.published_value:.6g}"
    return [
        entry.slug, part.slug, ", ".join(line.heads), line.published, known, *numbers, line.published_difference,
        line.difference, line.verdict.kind, line.verdict.reason, line.ours.record or "", line.detail, line.note,
    ]  # fmt: skip


def _tabular(part: Part) -> str:
    columns = heads(part)
    layout = "l" * len(part.heads) + "r" * (len(columns) - len(part.heads) - 1) + r"p{0.3\linewidth}"
    lines = [f"% {part.title}. Compared: {part.compared}", rf"\begin{{tabular}}{{{layout}}}", r"\toprule"]
    lines += [" & ".join(map(escape_latex, columns)) + r" \\", r"\midrule"]
    lines += [" & ".join(_latex_cells(part, line)) + r" \\" for line in part.lines]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _latex_cells(part: Part, line: Line) -> list[str]:
    moved = [line.published_difference, line.difference] if part.has_differences else []
    verdict = line.verdict.text if line.verdict.kind == "not comparable" else rf"\textbf{{{line.verdict.kind}}}"
    said = escape_latex(verdict) if line.verdict.kind == "not comparable" else verdict
    texts = [*map(escape_latex, line.heads), _latex_value(line.published), _latex_shown(line.ours)]
    return [*texts, *map(_latex_value, moved), said]


def _latex_shown(ours: Shown) -> str:
    if ours.sort is None:
        return "--"
    value = _latex_value(ours.text)
    value = rf"\textbf{{{value}}}" if ours.best else value
    return rf"{value} {{\scriptsize {_latex_value(ours.interval)}}}" if ours.interval else value


def _latex_value(text: str) -> str:
    return latex_number(escape_latex(text)).replace("±", r"$\pm$")


def _pipe(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
