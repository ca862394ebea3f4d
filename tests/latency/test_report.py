"""Timed cells in a report: stages, lines and notes as Markdown, CSV and on the page; every folder by itself."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

import pytest

from bench.cli import main
from bench.errors import RecordError
from bench.latency.report import is_timed, latency_report
from bench.record import Cell, Quantity, Record, write_record

PLACE = {"processor": "CPU | one", "threads": 2, "device": "cpu"}
STAGES = {"latency_text_encoder_s": 0.1, "latency_denoiser_s": 0.5, "latency_decoder_s": 0.2, "latency_host_s": 0.1}


def timed(method: str, steps: int, milliseconds: float, *, status: str = "ok", **place: str) -> Record:
    """A record as `bench latency` leaves it; the stages are shares of the whole."""
    cell = Cell("sdxl-random", method, steps, None, 0, 1, "cpu", "float32", 1, height=512, width=512)
    command = f"python -m bench latency --methods {method} --steps {steps}"
    if status != "ok":
        return Record(cell, "failed", "needs 14 GiB", (), {}, {}, {"command": command})
    seconds, protocol = milliseconds / 1e3, {**PLACE, **place}
    samples = tuple(seconds * (1 + 0.001 * (place - 2)) for place in range(5))
    values = {"latency_s": seconds, **{name: share * seconds for name, share in STAGES.items()}}
    quantities = tuple(
        Quantity(name, value, 0.99 * value, 1.01 * value, 5, "s", False, protocol) for name, value in values.items()
    )
    return Record(cell, "ok", None, quantities, {}, {"latency_s": samples}, {"command": command})


def write(folder: Path, records: list[Record]) -> Path:
    for record in records:
        write_record(record, folder / "records")
    return folder


@pytest.fixture
def records() -> list[Record]:
    """add: 40 + 10 n milliseconds; lcm: 30 + 15 n; they cross at 2 steps."""
    found = [timed("add", n, 40 + 10 * n) for n in (1, 2, 4)] + [timed("lcm", n, 30 + 15 * n) for n in (1, 2, 4)]
    return [*found, timed("broken", 1, 0, status="failed")]


def test_a_report_of_a_latency_folder_shows_stages_lines_and_what_failed(
    records: list[Record], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = write(tmp_path / "latency", records)
    assert main(["report", "--results", str(results), "--out", str(tmp_path / "report")]) == 0
    text = (tmp_path / "report" / "tables" / "latency.md").read_text(encoding="utf-8")
    (row,) = [line for line in text.splitlines() if line.startswith("| add | 4 |") and "40.0" in line]
    assert r"40.00 \[39.60, 40.40\]" in row  # half of 80 ms is the denoiser's
    assert "| method | steps | Text encoder (ms) | Denoiser (ms) | Decoder (ms) | Host (ms) |" in text
    assert "add takes less time than lcm" not in text.split("steps")[0]
    assert r"lcm takes less time than add up to 2.0 \[" in text
    assert "broken, 1 steps: failed: needs 14 GiB" in text
    assert r"CPU \| one, 2 threads" in text  # Markdown of names is not read as a table
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert page.count('-title">Latency: sdxl-random · 512 x 512') == 1
    assert f'href="../latency/records/{records[0].cell.name}.json"' in page
    capsys.readouterr()
    assert main(["report", "--results", str(results), "--out", str(tmp_path / "report"), "--check"]) == 0
    (tmp_path / "report" / "tables" / "latency.csv").write_text("typed by hand")
    assert main(["report", "--results", str(results), "--out", str(tmp_path / "report"), "--check"]) == 1
    assert capsys.readouterr().out == "differs: tables/latency.csv\n"


def test_csv_has_every_quantity_and_every_line(records: list[Record], tmp_path: Path) -> None:
    write(tmp_path / "latency", records)
    found = latency_report(tmp_path, tmp_path)
    assert found is not None
    rows = list(csv.DictReader(io.StringIO(found.csv)))
    assert len(rows) == 6 * 5
    (row,) = [
        r for r in rows if r["method"] == "add" and r["num_inference_steps"] == "2" and r["quantity"] == "latency_s"
    ]
    assert (float(row["value"]), row["unit"], row["processor"], row["height"]) == (0.06, "s", "CPU | one", "512")
    lines = {r["method"]: r for r in csv.DictReader(io.StringIO(found.lines_csv))}
    assert set(lines) == {"add", "lcm"}
    assert float(lines["add"]["intercept_s"]) == pytest.approx(0.040, rel=1e-6)
    assert float(lines["add"]["slope_s"]) == pytest.approx(0.010, rel=1e-6)
    assert lines["add"]["steps"] == "1 2 4"


def test_machines_lie_in_folders_of_their_own(records: list[Record], tmp_path: Path) -> None:
    """Two machines in one folder are refused by the field; in two they are two sections."""
    write(tmp_path / "latency" / "one", records)
    write(tmp_path / "latency" / "two", [timed("add", 1, 5, processor="another")])
    found = latency_report(tmp_path, tmp_path)
    assert found is not None
    assert [len(section.names) for section in found.sections] == [6, 1]
    assert len({section.slug for section in found.sections}) == 2
    assert found.sections[1].links[0].startswith("latency/two/records/")
    shutil.rmtree(tmp_path / "latency" / "two")
    write(tmp_path / "latency" / "one", [timed("gd", 1, 5, processor="another")])
    with pytest.raises(RecordError, match="protocol field 'processor' is"):
        latency_report(tmp_path, tmp_path)


def test_a_run_without_timed_cells_has_no_such_part(tmp_path: Path) -> None:
    record = timed("add", 1, 5)
    judged = Record(record.cell, "ok", None, record.quantities, {}, {}, {"command": "python -m bench run"})
    assert is_timed(record)
    assert not is_timed(judged)
    write(tmp_path, [judged])
    assert latency_report(tmp_path, tmp_path) is None
