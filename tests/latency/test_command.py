"""`bench latency` on tiny architectures and on the toy suite: records, table, resume, and requests without sense."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from bench.cli import main
from bench.latency import scaling, summary, work
from bench.latency.table import lines, notes
from bench.record import Record, read_records
from bench.report.frame import tidy
from tests.harness.fakes import Control
from tests.latency import tiny

Latency = Callable[..., int]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(work.MATRIX_SIDE, "cpu", 64)
    monkeypatch.setattr(summary, "RESAMPLES", 99)
    monkeypatch.setattr(scaling, "RESAMPLES", 99)


@pytest.fixture
def family(tmp_path: Path) -> Path:
    return tiny.write(tmp_path, tiny.SDXL)


@pytest.fixture
def latency(tmp_path: Path) -> Latency:
    def run(*options: str) -> int:
        fast = ("--device", "cpu", "--warm-up", "1", "--repeats", "3", "--out", str(tmp_path / "latency"))
        return main(["latency", *fast, *options])

    return run


def records(tmp_path: Path) -> dict[tuple[str, int, str], Record]:
    found = read_records(tmp_path / "latency" / "records")
    return {(r.cell.method, r.cell.num_inference_steps, r.cell.mode): r for r in found}


def test_random_weights_are_timed_recorded_and_shown(
    latency: Latency, family: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--methods", "add,sdxl-euler", "--steps", "1,2", "--family", str(family), "--weights", "random")
    command = (*options, "--height", "32", "--peer")
    assert latency(*command) == 0
    shown = capsys.readouterr()
    found = records(tmp_path)
    assert set(found) == {(m, n, "eager") for m in ("add", "sdxl-euler") for n in (1, 2)}
    for (method, steps, _), record in found.items():
        assert (record.cell.suite, record.cell.height, record.cell.width) == ("tiny-random", 32, 32)
        samples = record.samples
        assert len(samples["latency_s"]) == len(samples["peer_latency_s"]) == 3
        parts = [f"latency_{part}_s" for part in ("text_encoder", "denoiser", "scheduler", "decoder", "host")]
        for call in range(3):
            assert sum(samples[part][call] for part in parts) <= samples["latency_s"][call] * (1 + 1e-12)
        nfe, flops = record.quantity("nfe"), record.quantity("flops")
        assert nfe is not None
        assert nfe.value == steps * (2 if method == "sdxl-euler" else 1)
        assert flops is not None
        assert flops.parts["denoiser"] > 0
        assert record.provenance["recipe"]["scheduler"].startswith("Euler")
        assert str(tmp_path) not in json.dumps(record.provenance)
    counted = {key: record.quantity("flops").parts["denoiser"] for key, record in found.items()}  # type: ignore[union-attr]
    assert counted["add", 2, "eager"] == 2 * counted["add", 1, "eager"]
    assert counted["sdxl-euler", 1, "eager"] == 2 * counted["add", 1, "eager"]
    assert "tiny-random · 32 x 32 · eager · batch 1 · cpu float32" in shown.out
    assert "add: " in shown.out
    assert "a step" in shown.out
    assert "random weights" in shown.out
    assert "timing, 3 calls" in shown.err
    assert latency(*command) == 0
    again = capsys.readouterr()
    assert again.out.startswith("nothing to do: 4 of 4 cells are there\n")
    assert again.out.endswith(shown.out)
    assert again.err == ""


def test_other_protocols_and_architectures_are_timed_again(latency: Latency, family: Path, tmp_path: Path) -> None:
    command = ("--methods", "add", "--steps", "1", "--family", str(family), "--weights", "random")
    assert latency(*command) == 0
    assert latency(*command, "--repeats", "4") == 0
    (record,) = records(tmp_path).values()
    assert len(record.samples["latency_s"]) == 4
    tiny.write(tmp_path, tiny.SDXL | {"max_tokens": 15})
    assert latency(*command, "--repeats", "4") == 0
    (changed,) = records(tmp_path).values()
    assert changed.provenance["origin"] != record.provenance["origin"]


def test_the_checkpoints_of_a_suite_are_timed(
    toy: Control, latency: Latency, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy.requests.clear()
    assert latency("--suite", "toy", "--methods", "add,lcm", "--steps", "1,4,9", "--batch-size", "1,5") == 0
    found = list(read_records(tmp_path / "latency" / "records"))
    assert len(found) == 12
    assert {r.reason for r in found if r.status == "unsupported"} == {"at most 8 steps"}
    batches = {len(request.prompts) for _, request in toy.requests}
    assert batches == {1, 5}
    frame: pd.DataFrame = tidy(found)
    assert {"latency_s", "images_per_s", "latency_scheduler_s"} <= set(frame["quantity"])
    out = capsys.readouterr().out
    assert "batches of 5" in out
    assert "add, 9 steps: unsupported: at most 8 steps" in out


def test_a_failed_cell_is_a_record_and_others_go_on(toy: Control, latency: Latency, tmp_path: Path) -> None:
    def fail(name: str, _request: object) -> None:
        if name == "add":
            raise RuntimeError("boom")

    toy.on_sample = fail
    assert latency("--suite", "toy", "--methods", "add,lcm", "--steps", "1") == 1
    found = records(tmp_path)
    assert found["add", 1, "eager"].status == "failed"
    assert str(found["add", 1, "eager"].reason).startswith("RuntimeError: boom (trace in logs/")
    assert found["lcm", 1, "eager"].status == "ok"
    toy.on_sample = None
    toy.requests.clear()
    assert latency("--suite", "toy", "--methods", "add,lcm", "--steps", "1") == 0
    assert {name for name, _ in toy.requests} == {"add"}


def test_notes_name_neighbours_and_few_calls(toy: Control, latency: Latency, tmp_path: Path) -> None:
    assert latency("--suite", "toy", "--methods", "add", "--steps", "1,4") == 0
    found = list(records(tmp_path).values())
    found[0].provenance["neighbours"].append({"name": "train", "cores": 1.9})  # type: ignore[attr-defined]
    said = " ".join(notes(found))
    (named,) = [note for note in notes(found) if note.startswith("other processes used the device meanwhile: ")]
    assert "train" in named  # beside whatever else runs on this machine
    assert "p99 of 3 calls is close to the slowest of them; 500 calls would place it" in said
    (line,) = lines(found)
    assert line.startswith("add: ")
    assert "two step counts always fit" in line


CASES = {
    "unknown method": (("--methods", "ad"), "unknown method 'ad'; did you mean 'add'?"),
    "unknown family": (("--family", "sdx", "--weights", "random"), "did you mean 'sdxl'?"),
    "random without family": (("--weights", "random"), "--weights random needs --family: one of sd15, sd21, sdxl"),
    "family without random": (("--family", "sdxl"), "--family sdxl needs --weights random"),
    "random and a folder": (("--weights", "random", "--weights", "add=."), "contradict each other"),
    "random and a suite": (("--family", "sdxl", "--weights", "random", "--suite", "toy"), "leave one out"),
    "odd height": (("--height", "500"), "--height 500 is not possible; use a multiple of 8"),
    "no width": (("--width", "0"), "--width 0 is not possible"),
    "unknown mode": (("--mode", "compiled"), "did you mean 'compile'?"),
    "mode twice": (("--mode", "compile+channels-last,channels-last+compile"), "twice; name it once"),
    "graphs on a CPU": (("--mode", "graphs"), "--mode graphs needs a CUDA device"),
    "no calls": (("--repeats", "0"), "--repeats 0 is out of range; use 1 to 100000"),
    "negative warm-up": (("--warm-up", "-1"), "--warm-up -1 is out of range"),
    "batch of none": (("--batch-size", "1,0"), "--batch-size '0' is not possible"),
    "batch over the suite": (("--batch-size", "13"), "--batch-size 13 is more than the 12 prompts"),
    "weights that are not there": (("--weights", "add=no/such"), "there is no folder no/such"),
    "steps in words": (("--steps", "one"), "--steps 'one' is not possible"),
}


@pytest.mark.parametrize(("options", "message"), CASES.values(), ids=CASES.keys())
def test_one_line_exit_2_and_nothing_written(
    toy: Control,
    latency: Latency,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    message: str,
) -> None:
    suite = () if "--family" in options or "random" in options else ("--suite", "toy")
    assert latency(*suite, *options) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not (tmp_path / "latency").exists()


def test_the_folder_of_a_run_is_refused(
    toy: Control, latency: Latency, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "latency").mkdir()
    (tmp_path / "latency" / "fewstep-bench.json").write_text(
        json.dumps({"made_by": "fewstep-bench", "schema": 1, "suite": "shapes"})
    )
    assert latency("--suite", "toy") == 2
    assert "holds results of suite 'shapes', not 'latency'" in capsys.readouterr().err
