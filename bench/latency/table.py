"""What is printed at the end: a table of totals, one of stages, lines over the steps and where they cross. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, TextIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bench.latency.scaling import Line, calls_by_steps, crossing, fit
from bench.latency.summary import calls_for
from bench.record import Cell, Quantity, Record
from bench.report.display import digits, display, interval, number
from bench.report.frame import check_protocols, groups, label

TOTALS = ("latency_s", "latency_p10_s", "latency_p90_s", "latency_p99_s", "images_per_s", "nfe", "peak_memory_bytes",
          "energy_j", "matrix_fraction", "overhead_ratio")  # fmt: skip
STAGES = ("latency_text_encoder_s", "latency_denoiser_s", "latency_denoiser_call_s", "latency_scheduler_s",
          "latency_decoder_s", "latency_host_s", "flops", "parameters")  # fmt: skip
_WIDE = ("latency_s", "overhead_ratio")  # the columns that show their interval
_PIPE_WIDTH = 240


def show(records: Mapping[Cell, Record], stream: TextIO) -> None:
    """Print the records in the order they come in.

    Raises:
        RecordError: where two that would stand in one table were measured differently, naming the field.
    """
    console = Console(file=stream, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    ordered = list(records.values())
    measured = [record for record in ordered if record.status == "ok"]
    for group in groups(measured):
        members = [record for record in ordered if record in group.measured]
        check_protocols(members)
        console.print(Text(title(members[0])))
        for names, intervals in ((TOTALS, _WIDE), (STAGES, ())):
            console.print()
            console.print(Padding(_table(members, names, intervals), (0, 0, 0, 2), expand=False))
        console.print()
        for line in (*lines(members), *notes(members)):
            console.print(Text("  " + line), soft_wrap=True)
        console.print()
    for record in ordered:
        if record.status != "ok":
            cell = record.cell
            console.print(Text(f"  {cell.method}, {cell.num_inference_steps} steps: {record.status}: {record.reason}"))


def lines(records: Sequence[Record]) -> list[str]:
    """`add: 31 ms + 5.2 ms a step [5.1, 5.3]`, a method each, then where each two of them cross."""
    calls = {name: calls_by_steps(members) for name, members in by_method(records).items()}
    usable = {name: found for name, found in calls.items() if len(found) > 1}
    fits = {name: fit(found) for name, found in usable.items()}
    said = [_line(name, found) for name, found in fits.items()]
    for one, other in combinations(usable, 2):
        said.append(_crossing(one, other, usable, fits))
    return said


def notes(records: Sequence[Record]) -> list[str]:
    """What a reader must know about these numbers: who else was there, and what few calls cannot say."""
    said = ["intervals 95 %, over the calls of this process; stages are medians of sums over a call"]
    calls = min(len(record.samples.get("latency_s", ())) for record in records)
    if calls < calls_for(0.99):
        said.append(f"p99 of {calls} calls is close to the slowest of them; {calls_for(0.99)} calls would place it")
    names = sorted({item["name"] for record in records for item in record.provenance.get("neighbours", ())})
    if names:
        said.append(f"other processes used the device meanwhile: {', '.join(names)}; these latencies may be too high")
    eager = sorted({part for record in records for part in record.provenance.get("not_captured", ())})
    if eager:
        said.append(f"not in the graph, as its weights are cast on every call: {', '.join(eager)}")
    if any(record.provenance.get("weights", "").startswith("random") for record in records):
        said.append("random weights: latency does not depend on them, and the images show nothing")
    return said


def title(record: Record) -> str:
    """What the records of one table share: `sdxl-random · 512 x 512 · eager · batch 1 · cuda float16 · ...`."""
    cell, latency = record.cell, record.quantity("latency_s")
    size = "" if cell.height is None else f" · {cell.height} x {cell.width}"
    place = "" if latency is None else f" · {latency.protocol['processor']}, {latency.protocol['threads']} threads"
    batch = f"batches of {cell.batch_size}" if cell.batch_size > 1 else "batch 1"
    return f"{cell.suite}{size} · {cell.mode} · {batch} · {cell.device} {cell.dtype}{place}"


def texts(
    records: Sequence[Record], names: Sequence[str], intervals: Sequence[str]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """(heads, rows): method, steps, and those of `names` that were measured, with intervals where asked for."""
    first = {name: found for name in names if (found := _first(records, name)) is not None}
    columns = [display(quantity) for quantity in first.values()]
    places = [digits(column, records) for column in columns]
    heads = ("method", "steps", *(column.header.rstrip(" ↑↓") for column in columns))
    rows = []
    for record in records:
        cells = []
        for column, place in zip(columns, places, strict=True):
            quantity = record.quantity(column.name)
            shown = "–" if quantity is None else number(quantity.value * column.factor, place)
            spread = interval(quantity, column, place) if quantity is not None and column.name in intervals else None
            cells.append(shown if spread is None else f"{shown} {spread}")
        rows.append((label(record.cell), str(record.cell.num_inference_steps), *cells))
    return heads, tuple(rows)


def _table(records: Sequence[Record], names: Sequence[str], intervals: Sequence[str]) -> Table:
    heads, rows = texts(records, names, intervals)
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    for place, head in enumerate(heads):
        grid.add_column(head, no_wrap=place == 0, justify="right" if place == 1 else "left")
    for row in rows:
        grid.add_row(*row)
    return grid


def _first(records: Iterable[Record], name: str) -> Quantity | None:
    return next((found for record in records if (found := record.quantity(name)) is not None), None)


def by_method(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Records by the name of their series, in the order in which it first comes."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(label(record.cell), []).append(record)
    return found


def _line(name: str, line: Line) -> str:
    head = f"{name}: {_ms(line.intercept_s)} + {_ms(line.slope_s)} a step, over {_listed(line.steps)} steps"
    if len(line.steps) == 2:
        return f"{head}; two step counts always fit"
    return f"{head}; off by {line.misfit:.1%} at most"


def _crossing(one: str, other: str, calls: Mapping[str, Any], fits: Mapping[str, Line]) -> str:
    found = crossing(calls[one], calls[other])
    pair = (one, other)
    if found.steps is None:
        if found.cheaper_before is None:
            return f"{one} and {other}: {found.reason}"
        return f"{pair[found.cheaper_before]} takes less time than {pair[1 - found.cheaper_before]}: {found.reason}"
    value, low, high = found.steps
    first, then = pair[found.cheaper_before or 0], pair[1 - (found.cheaper_before or 0)]
    most = max(*fits[one].steps, *fits[other].steps)
    beyond = f", beyond the {most} steps that were timed" if value > most else ""
    return f"{first} takes less time than {then} up to {value:.1f} [{low:.1f}, {high:.1f}] steps{beyond}"


def _ms(value: tuple[float, float, float]) -> str:
    middle, low, high = (1e3 * item for item in value)
    places = max(0, min(3, 2 - len(str(int(abs(middle))))))
    return f"{middle:,.{places}f} ms [{low:,.{places}f}, {high:,.{places}f}]"


def _listed(steps: Sequence[int]) -> str:
    return ", ".join(str(count) for count in steps[:-1]) + f" and {steps[-1]}"
