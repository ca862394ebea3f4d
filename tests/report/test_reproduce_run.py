"""`bench reproduce` for real, at a few images: it measures what is missing once, by the settings of what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import runner
from bench.cli import main
from bench.record import read_records

LIMIT = 4


def test_what_is_missing_is_measured_once_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "TIMED_PROMPTS", 1)
    settings = ["--limit", str(LIMIT), "--device", "cpu", "--batch-size", "2"]
    assert main(["run", "--methods", "add", "--steps", "1", "--out", "reports/results", *settings]) == 0
    capsys.readouterr()
    assert main(["reproduce", "figure4"]) == 0
    told = capsys.readouterr()
    assert "python -m bench run --methods add --steps 2,4 --out reports/results" in told.err
    assert "Figure 4" in told.out
    records = list(read_records(Path("reports/results/records")))
    assert sorted(record.cell.num_inference_steps for record in records) == [1, 2, 4]
    assert {(record.status, record.cell.limit, record.cell.batch_size) for record in records} == {("ok", LIMIT, 2)}
    assert Path("reports/tables/figure4.md").read_text()
    assert main(["reproduce", "figure4"]) == 0
    assert "bench run" not in capsys.readouterr().err
