"""`--jobs`: images sampled in processes beside each other, then timed and judged as ever."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from bench import jobs, runner
from bench.cli import main
from bench.jobs import sample_in_jobs
from bench.plan import Plan, RunRequest, make_plan
from bench.record import Cell, read_records

LIMIT = 3


def plan_of(out: Path, methods: str = "add,lcm") -> Plan:
    return make_plan(RunRequest(methods, "1", limit=LIMIT, device="cpu", batch_size=2, metrics="clip-shapes", out=out))


def killed(_cell: Cell) -> str | None:
    os.kill(os.getpid(), signal.SIGKILL)
    return None


def quick(_cell: Cell) -> str | None:
    return None


def images(plan: Plan) -> list[int]:
    return [plan.out.count_images(cell) for cell in plan.cells]


def test_a_run_finds_the_images_of_its_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "TIMED_PROMPTS", 1)
    usual = ["run", "--methods", "add,lcm", "--steps", "1", "--limit", str(LIMIT), "--device", "cpu"]
    options = [*usual, "--out", str(tmp_path / "out"), "--metrics", "clip-shapes", "--jobs", "2"]
    assert main(options) == 0
    told = capsys.readouterr().err
    assert "add, 1 step: sampled" in told
    assert "(2 of 2)" in told
    first = {record.cell.method: record for record in read_records(tmp_path / "out/records")}
    assert all(record.quantity("images_per_s") is not None for record in first.values())
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "out/images").glob("*/*.png")}
    assert len(stamps) == 2 * LIMIT
    assert main([*options, "--force"]) == 0
    assert all(path.stat().st_mtime_ns > stamp for path, stamp in stamps.items())  # sampled again, and once


def test_what_a_job_cannot_sample_is_said(tmp_path: Path) -> None:
    told: list[str] = []
    plan = plan_of(tmp_path / "out", "add,pd")
    weights = {"pd": tmp_path / "nothing"}
    sample_in_jobs(Plan(plan.suite, plan.cells, plan.metrics, plan.out, weights=weights), plan.cells, 2, told.append)
    assert images(plan) == [LIMIT, 0]
    assert any(line.startswith("pd, 1 step: ") and "nothing" in line for line in told)


def test_a_job_that_is_killed_leaves_the_rest_to_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_sample", killed)
    told: list[str] = []
    plan = plan_of(tmp_path / "out")
    sample_in_jobs(plan, plan.cells, 2, told.append)
    assert told == ["a job was killed, perhaps for memory; what is left is sampled without jobs"]
    assert not multiprocessing.active_children()


def test_a_run_that_is_stopped_ends_its_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_sample", quick)
    plan = plan_of(tmp_path / "out")

    def stop(_line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample_in_jobs(plan, plan.cells, 2, stop)
    assert not multiprocessing.active_children()


def test_the_number_of_jobs_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--jobs", "0"]) == 2
    assert "--jobs 0 is out of range" in capsys.readouterr().err
