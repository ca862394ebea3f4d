"""The table at the end of a run, and what can be said about it, on stdout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TextIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from bench.comparison import sentence
from bench.plan import Plan
from bench.progress import cell_title
from bench.record import Cell, Record
from bench.report.display import Display
from bench.report.frame import groups
from bench.report.tables import Entry, Table, results_table, select
from bench.text import printable

LATENCY = "latency_s"
_ASIDE = {"kid-shapes"}  # measured by default, shown where asked for: the distance beside it says the same
_PIPE_WIDTH = 200


def show(plan: Plan, records: Mapping[Cell, Record], stream: TextIO) -> None:
    """Print the table of `records`, its legend, and a sentence a step count that compares the first two methods."""
    console = Console(file=stream, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    ordered = [records[cell] for cell in plan.cells if cell in records]
    measured = [record for record in ordered if record.status == "ok"]
    console.print(Text(header(plan)))
    console.print()
    if measured:
        table = select(results_table(groups(measured)[0]), shown_quantities(plan))
        console.print(Padding(_grid(table, ordered, marked=not console.is_terminal), (0, 0, 0, 2), expand=False))
        legend = Text("  " + _legend(plan, marked=not console.is_terminal), style="dim")
        console.print(legend, soft_wrap=not console.is_terminal)
    for record in ordered:
        if record.status != "ok":
            console.print(Text(printable(f"  {cell_title(record.cell)}: {record.status}: {record.reason}")))
    for line in left_out(measured):
        console.print(Text(printable(f"  {line}")))
    for line in sentences(plan, records, table.columns if measured else ()):
        console.print()
        console.print(Text("  " + line), soft_wrap=not console.is_terminal)


def header(plan: Plan) -> str:
    """`shapes · 1,000 prompts · seed 0 · cpu float32`."""
    cell = plan.cells[0]
    guidance = "" if cell.guidance_scale is None else f" · guidance {cell.guidance_scale:g}"
    prompts = f"{cell.limit:,} prompt{'' if cell.limit == 1 else 's'}"
    several = "" if cell.images_per_prompt == 1 else f" · {cell.images_per_prompt} images a prompt"
    return f"{cell.suite} · {prompts}{several} · seed {cell.seed} · {cell.device} {cell.dtype}{guidance}"


def shown_quantities(plan: Plan) -> list[str]:
    """The columns of the table: the metrics asked for, then latency."""
    default = plan.metrics == plan.suite.metrics
    return [name for name in plan.metrics if not (default and name in _ASIDE)] + [LATENCY]


def left_out(records: Sequence[Record]) -> list[str]:
    """`fd-shapes is left out: needs at least 2 images`, each reason once."""
    lines = (f"{name} is left out: {why}" for r in records for name, why in r.provenance.get("left_out", {}).items())
    return list(dict.fromkeys(lines))


def sentences(plan: Plan, records: Mapping[Cell, Record], columns: Sequence[Display]) -> list[str]:
    """One sentence a step count about the first two methods of the plan, where both were measured."""
    methods = list(dict.fromkeys(cell.method for cell in plan.cells))[:2]
    lines = []
    for steps in dict.fromkeys(cell.num_inference_steps for cell in plan.cells):
        cells = [cell for cell in plan.cells if cell.num_inference_steps == steps and cell.method in methods]
        pair = [records[cell] for cell in cells if cell in records and records[cell].status == "ok"]
        if len(pair) == 2:
            lines.append(sentence(pair[0], pair[1], columns))
    return lines


def _grid(table: Table, order: Sequence[Record], *, marked: bool) -> Grid:
    grid = Grid(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    grid.add_column("method", no_wrap=True)
    grid.add_column("steps", justify="right")
    for column in table.columns:
        grid.add_column(column.header)
    rows = {row.record.cell: row for row in table.rows}
    for record in order:
        if record.cell in rows:
            row = rows[record.cell]
            grid.add_row(Text(row.method), str(row.steps), *(_entry(entry, marked=marked) for entry in row.entries))
    return grid


def _entry(entry: Entry, *, marked: bool) -> Text:
    if entry.value is None:
        return Text("–")
    value = Text(entry.value + ("*" if entry.best and marked else ""), style="bold" if entry.best else "")
    return value if entry.low_high is None else Text.assemble(value, f" {entry.low_high}")


def _legend(plan: Plan, *, marked: bool) -> str:
    best = "*" if marked else "bold"
    return (
        f"{best}: best at its number of steps, where the intervals say so · intervals 95 % · latency at batch 1"
        f" · `bench report --results {plan.out.root}` draws this · records in {plan.out.records}"
    )
