"""Records of `bench latency` as what the report shows: pure functions of records, no torch.

A report of the folder R shows what lies in `R/latency` (`bench latency --out R/latency`, or one folder a machine below
it), and R itself where that is a folder of `bench latency`. Each folder is shown by itself: records of two machines are
never put side by side.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from bench.latency.scaling import Line, calls_by_steps, fit
from bench.latency.table import STAGES, TOTALS, by_method, lines, notes, texts, title
from bench.record import Record, read_records
from bench.report.frame import Group, groups, label
from bench.report.latency import Grid, LatencyReport, LatencySection

FOLDER = "latency"
"""Below the results of a run, where a report looks for records of `bench latency`."""

INTERVALS = ("latency_s", "latency_p90_s", "images_per_s", "matrix_fraction", "overhead_ratio", "latency_denoiser_s",
             "latency_denoiser_call_s", "latency_decoder_s", "latency_text_encoder_s")  # fmt: skip
"""The columns that show their interval; the CSV has them all."""

_PLACE = ("suite", "height", "width", "mode", "device", "dtype", "batch_size", "processor", "threads")
_TIDY = ("method", "num_inference_steps", "guidance_scale", *_PLACE, "quantity", "value", "ci_low", "ci_high", "n",
         "unit", "higher_is_better", "record")  # fmt: skip
_LINES = ("method", *_PLACE, "intercept_s", "intercept_low", "intercept_high", "slope_s", "slope_low", "slope_high",
          "steps", "misfit")  # fmt: skip


def is_timed(record: Record) -> bool:
    """Whether `bench latency` made the record; a failed one says so by its command."""
    return str(record.provenance.get("command", "")).startswith("python -m bench latency")


def folders(results: Path) -> list[Path]:
    """The folders of records that a report of `results` shows, sorted."""
    below = sorted(path for path in (results / FOLDER).rglob("records") if path.is_dir())
    own = results / "records"
    return [own, *below] if own.is_dir() else below


def latency_report(results: Path, out: Path) -> LatencyReport | None:
    """What a report in `out` shows of the timed cells of `results`; None where there is none.

    Raises:
        RecordError: where a record cannot be read, or two of one folder and setting were measured differently.
    """
    found = [(folder, [record for record in read_records(folder) if is_timed(record)]) for folder in folders(results)]
    parts = [(folder, group) for folder, records in found if records for group in groups(records)]
    if not parts:
        return None
    sections = tuple(
        _section(group, f"latency-{place}", _base(folder, out)) for place, (folder, group) in enumerate(parts, 1)
    )
    measured = [group.measured for _, group in parts]
    return LatencyReport(
        sections, _csv(_TIDY, _tidy_rows(measured)), _csv(_LINES, [row for group in measured for row in _fits(group)])
    )


def _base(folder: Path, out: Path) -> str:
    return quote(Path(os.path.relpath(folder.resolve(), out.resolve())).as_posix())


def _section(group: Group, slug: str, base: str) -> LatencySection:
    records = group.measured
    return LatencySection(
        title=title(records[0]) if records else group.key.title,
        slug=slug,
        grids=tuple(
            Grid(name, *texts(records, quantities, INTERVALS))
            for name, quantities in (("Latency, throughput, memory, energy", TOTALS), ("Stages and work", STAGES))
            if records
        ),
        names=tuple(record.cell.name for record in records),
        links=tuple(f"{base}/{quote(record.cell.name)}.json" for record in records),
        lines=tuple(lines(records)) if records else (),
        notes=tuple(notes(records)) if records else (),
        missing=tuple(
            f"{label(record.cell)}, {record.cell.num_inference_steps} steps: {record.status}: {record.reason}"
            for record in group.missing
        ),
    )


def _tidy_rows(measured: Sequence[Sequence[Record]]) -> Iterator[list[object]]:
    for record in (record for records in measured for record in records):
        cell = record.cell
        for item in record.quantities:
            yield [
                label(cell), cell.num_inference_steps, cell.guidance_scale, *_place(record), item.name,
                *(f"{value:.6g}" for value in (item.value, item.ci_low, item.ci_high)), item.n, item.unit,
                item.higher_is_better, cell.name,
            ]  # fmt: skip


def _fits(records: Sequence[Record]) -> Iterator[list[object]]:
    """A row a method that was timed at two step counts or more."""
    for name, members in by_method(records).items():
        calls = calls_by_steps(members)
        if len(calls) > 1:
            yield [name, *_place(members[0]), *_numbers(fit(calls))]


def _numbers(line: Line) -> list[object]:
    values = [f"{value:.6g}" for value in (*line.intercept_s, *line.slope_s)]
    return [*values, " ".join(map(str, line.steps)), f"{line.misfit:.4g}"]


def _place(record: Record) -> list[object]:
    cell, latency = record.cell, record.quantity("latency_s")
    machine = {} if latency is None else latency.protocol
    size = (cell.suite, cell.height, cell.width)
    return [*size, cell.mode, cell.device, cell.dtype, cell.batch_size, machine["processor"], machine["threads"]]


def _csv(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(["" if value is None else value for value in row] for row in rows)
    return text.getvalue()
