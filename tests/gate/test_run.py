"""A whole gate between two trees: child processes, calibration, rounds, and the command that starts it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.cli import main
from bench.commands import gate
from bench.errors import FewstepError
from bench.gate import latency
from bench.gate.baseline import write_baseline
from bench.gate.latency import TOTAL
from bench.gate.noise import NoiseStore
from bench.gate.run import Request, gate_trees
from bench.gate.sides import Settings, Side, SideEndedError
from bench.gate.turns import one_round
from bench.gate.verdicts import Verdict
from bench.record import write_record
from tests.gate.worlds import clip, record

Tree = Callable[..., Path]


@pytest.fixture
def request_(settings: Settings, tmp_path: Path) -> Request:
    return Request(settings, tmp_path / "out", NoiseStore(tmp_path / "noise.json"), noise_rounds=3)


def test_equal_trees_pass_after_calibration_and_a_few_rounds(tree: Tree, request_: Request) -> None:
    outcome = gate_trees(Side("base", tree("base")), Side("head", tree("head")), request_)
    assert outcome.verdict is Verdict.PASS
    assert outcome.rounds <= 4
    assert request_.store.rounds == 3
    assert {check.cell for check in outcome.checks} == {"shapes/add-1", "shapes/add-4"}
    assert {check.title for check in outcome.checks} == {"CLIP-shapes", "latency", "denoiser"}


def test_a_slower_head_is_caught_and_the_floor_is_not_measured_again(tree: Tree, request_: Request) -> None:
    base = Side("base", tree("base"))
    gate_trees(base, Side("head", tree("head")), request_)
    before = request_.store.path.read_bytes()
    outcome = gate_trees(base, Side("head", tree("slow", seconds=0.022)), request_)
    assert outcome.exit_code == 1
    assert request_.store.path.read_bytes() == before


def test_worse_images_are_caught(tree: Tree, request_: Request) -> None:
    worse = [record({"clip-shapes": clip(1, change=-4.0, spread=2.0)}), record(steps=4)]
    outcome = gate_trees(Side("base", tree("base")), Side("head", tree("head", records=worse)), request_)
    found = {check.cell: check.verdict for check in outcome.checks if check.kind == "quality"}
    assert found == {"shapes/add-1": Verdict.REGRESSION, "shapes/add-4": Verdict.PASS}
    assert outcome.rounds == 1, "what is known to be worse is not timed on"


def test_a_head_that_cannot_be_loaded_is_a_regression_and_says_why(tree: Tree, request_: Request) -> None:
    outcome = gate_trees(Side("base", tree("base")), Side("head", tree("head", seconds=None)), request_)
    assert outcome.exit_code == 1
    assert "it cannot be loaded" in outcome.checks[-1].note
    assert gate_trees(Side("base", tree("b", seconds=None)), Side("head", tree("h")), request_).exit_code == 3


def test_a_side_without_records_is_an_error_with_its_last_line(tree: Tree, request_: Request) -> None:
    with pytest.raises(FewstepError, match="head could not be measured: error: there are no weights"):
        gate_trees(Side("base", tree("base")), Side("head", tree("head", records=[])), request_)


def test_a_round_visits_both_in_an_order_that_is_drawn(tree: Tree, settings: Settings, tmp_path: Path) -> None:
    sides = Side("base", tree("base")), Side("head", tree("head", seconds=0.04))
    found = one_round(*sides, settings, random.Random(0), tmp_path / "logs", pairs=8)
    assert set(found) == {("add", 1), ("add", 4)}
    for pairs in found.values():
        assert len(pairs) == 8
        assert all(1.9 < pair.head[TOTAL] / pair.base[TOTAL] < 2.1 for pair in pairs)


def test_a_folder_named_from_here_is_meant_from_here(
    tree: Tree, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert len(Side("base", tree("base")).run(settings, Path("out"), Path("log.txt"))) == 2
    assert (tmp_path / "here" / "out" / "records").is_dir()


def test_a_process_that_ends_is_named(tree: Tree, settings: Settings, tmp_path: Path) -> None:
    sides = Side("base", tree("base")), Side("head", tree("head", seconds=None))
    with pytest.raises(SideEndedError, match="head cannot be timed: it cannot be loaded") as caught:
        one_round(*sides, settings, random.Random(0), tmp_path / "logs")
    assert caught.value.side == "head"


@pytest.fixture
def run_folder(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str, change: float = 0.0) -> Path:
        values = clip(1, change=change, spread=1.0) if change else clip(0)
        write_record(record({"clip-shapes": values}), tmp_path / name / "records")
        return tmp_path / name

    return make


@pytest.mark.parametrize(("change", "code"), [(0.0, 0), (-4.0, 1), (9.0, 5)])
def test_the_command_against_a_baseline(
    change: float, code: int, run_folder: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    baseline, out = tmp_path / "baseline.json", tmp_path / "out"
    assert main(["baseline", "--results", str(run_folder("base")), "--out", str(baseline)]) == 0
    summary = tmp_path / "summary.md"
    options = ["--out", str(out), "--summary", str(summary)]
    assert main(["gate", "--baseline", str(baseline), "--against", str(run_folder("head", change)), *options]) == code
    printed = capsys.readouterr().out
    assert f"exit {code}" in printed
    assert "reported" in printed
    assert json.loads((out / "gate.json").read_text())["exit_code"] == code
    assert {path.name for path in out.iterdir()} >= {"gate.json", "gate.sarif", "gate.svg", "junit.xml", "summary.md"}
    assert summary.read_text().startswith("### ")
    assert main(["gate", "--baseline", str(baseline), "--against", str(tmp_path / "head"), "--out", str(out)]) == code


def test_a_folder_of_somebody_else_is_left_alone(run_folder: Callable[..., Path], tmp_path: Path) -> None:
    write_baseline(tmp_path / "b.json", [record()], {})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "head").write_text("precious")
    command = ["gate", "--baseline", str(tmp_path / "b.json"), "--against", str(run_folder("head"))]
    assert main([*command, "--out", str(tmp_path / "mine")]) == 2
    assert (tmp_path / "mine" / "head").read_text() == "precious"


@pytest.mark.parametrize(
    "options",
    [
        [], ["--base-ref", "main", "--calibrate", "3"], ["--against", "runs/x"], ["--real"],
        ["--base-ref", "no-such-commit"], ["--base-ref", "--help=1"], ["--baseline", "no-such-file"],
        ["--base-ref", "main", "--rounds", "0"], ["--base-ref", "main", "--steps", "zero"],
        ["--base-ref", "main", "--methods", "ad"], ["--base-ref", "main", "--limit", "0"],
        ["--calibrate", "0"], ["--self-test", "--simulations", "0"], ["--benchmarks", "a.json", "b.json"],
        ["--benchmarks", "", ""], ["--only", "everything", "--base-ref", "main"],
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_exit_2_and_one_line(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["gate", *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "Traceback" not in error


def test_the_commands_number_of_rounds_is_the_gates() -> None:
    assert gate.ROUNDS == latency.ROUNDS
