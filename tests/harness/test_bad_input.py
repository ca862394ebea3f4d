"""Every request that makes no sense: one clear line, the right exit status, nothing written or lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.cli import main
from bench.record import read_records
from tests.harness.fakes import Control

Bench = Callable[..., int]

CASES = {
    "unknown method": (
        ("--methods", "ad,lcm"),
        "unknown method 'ad'; did you mean 'add'? (`bench list methods` shows all)",
    ),
    "unknown suite": (("--suite", "tou"), "unknown suite 'tou'; did you mean 'toy'? (`bench list suites` shows all)"),
    "unknown metric": (("--metrics", "bright"), "did you mean 'brightness'?"),
    "nothing like it": (("--methods", "zzzzzz"), "unknown method 'zzzzzz' (`bench list methods` shows all)"),
    "no methods": (("--methods", ""), "--methods is empty"),
    "method twice": (("--methods", "add,lcm,add"), "--methods names 'add' twice"),
    "no metrics": (("--metrics", ","), "--metrics is empty"),
    "zero steps": (("--steps", "0"), "--steps '0' is not possible; use whole numbers from 1 to 1000"),
    "negative steps": (("--steps=-1",), "--steps '-1' is not possible"),
    "fraction of a step": (("--steps", "3.5"), "--steps '3.5' is not possible"),
    "empty step": (("--steps", "1,,4"), "--steps '1,,4' has an empty entry; write 1,4"),
    "no steps": (("--steps", " "), "--steps is empty"),
    "steps twice": (("--steps", "1,4,1"), "--steps names '1' twice"),
    "steps twice in other words": (("--steps", "4,04"), "names a step count twice"),
    "superscript": (("--steps", "²"), "--steps '²' is not possible"),
    "too many steps": (("--steps", "1001"), "--steps '1001' is not possible"),
    "limit of zero": (("--limit", "0"), "--limit 0 is out of range; suite 'toy' has 1 to 12 prompts"),
    "limit over the suite": (("--limit", "13"), "--limit 13 is out of range"),
    "limit in words": (("--limit", "ten"), "argument --limit: invalid int value: 'ten'"),
    "batch size of zero": (("--batch-size", "0"), "--batch-size 0 is out of range"),
    "negative seed": (("--seed", "-1"), "--seed -1 is out of range; use 0 to 2147483647"),
    "unknown device": (("--device", "tpu"), "--device 'tpu' is not one of auto, cpu, cuda"),
    "unknown dtype": (("--dtype", "int8"), "--dtype 'int8' is not one of float32, float16, bfloat16"),
    "negative guidance": (("--guidance-scale", "-1"), "--guidance-scale -1 is not possible; use 1 (none), or more"),
    "guidance that does nothing": (("--guidance-scale", "0.5"), "--guidance-scale 0.5 is not possible"),
    "guidance that is no number": (("--guidance-scale", "nan"), "--guidance-scale nan is not possible"),
    "weights without a folder": (("--weights", "add"), "--weights 'add' is not METHOD=FOLDER"),
    "weights of another method": (("--weights", "guided=."), "'guided' is not among --methods add,lcm"),
    "weights that are not there": (("--weights", "add=no/such"), "there is no folder no/such"),
    "unknown option": (("--step", "1"), "unrecognized arguments: --step 1"),
}


@pytest.mark.parametrize(("options", "message"), CASES.values(), ids=CASES.keys())
def test_one_line_exit_2_and_nothing_written(
    toy: Control, bench: Bench, out: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str
) -> None:
    assert bench(*options) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not out.exists()
    assert toy.loads == []


def test_the_same_options_without_the_mistake_work(toy: Control, bench: Bench) -> None:
    assert bench("--methods", "add,lcm", "--steps", "1,4", "--limit", "12", "--seed", "0", "--guidance-scale", "1") == 0


def test_an_empty_prompt_list(
    toy: Control, bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    from tests.harness import tables

    monkeypatch.setattr(tables, "INFO", replace(tables.INFO, prompts=0, default_limit=0))
    assert bench() == 2
    assert "suite 'toy' has an empty prompt list" in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["frob"], ["list", "people"]])
def test_unknown_commands(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == 2
    assert capsys.readouterr().err.count("\n") == 1


def refused(bench: Bench, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """The message of a run that must be refused with status 2."""
    assert bench("--methods", "add", "--steps", "1", *options) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_out_that_is_a_file(toy: Control, bench: Bench, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out.write_text("mine")
    assert "is a file; name a folder" in refused(bench, capsys)
    assert "is a file; name another folder" in refused(bench, capsys, "--out", str(out / "below"))
    assert out.read_text() == "mine"


def test_out_that_cannot_be_made(
    toy: Control, bench: Bench, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert "name another folder" in refused(bench, capsys, "--out", str(tmp_path / ("x" * 300)))


def test_out_that_cannot_be_written(
    toy: Control, bench: Bench, out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "bench.folder.os.access", lambda *_: False
    )  # root may write anywhere, so no chmod can show this
    assert "cannot be written: no permission" in refused(bench, capsys)


def test_somebody_elses_folder(toy: Control, bench: Bench, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    assert "holds files this benchmark did not write; name a new or empty folder" in refused(bench, capsys, "--force")
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ('{"schema": 0, "suite": "toy"}', "is of schema 0, this version is of 1"),
        ('{"schema": 1, "suite": "coco"}', "holds results of suite 'coco', not 'toy'"),
    ],
)
def test_a_folder_of_another_kind(
    toy: Control, bench: Bench, out: Path, capsys: pytest.CaptureFixture[str], marker: str, message: str
) -> None:
    out.mkdir()
    (out / "fewstep-bench.json").write_text(marker)
    assert message in refused(bench, capsys)
    assert (out / "fewstep-bench.json").read_text() == marker


@pytest.mark.parametrize("damage", ["cut", "schema", "list", "shape"])
def test_a_record_that_cannot_be_read_stops_the_run_and_stays(
    toy: Control, bench: Bench, out: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    assert bench("--methods", "add", "--steps", "1") == 0
    capsys.readouterr()
    path = next((out / "records").glob("*.json"))
    data = json.loads(path.read_text())
    path.write_text(
        {
            "cut": path.read_text()[:100],
            "schema": json.dumps(data | {"schema": 99}),
            "list": "[]",
            "shape": json.dumps(data | {"per_image": []}),
        }[damage]
    )
    damaged = path.read_bytes()
    toy.requests.clear()
    assert bench("--methods", "add", "--steps", "1") == 1
    error = capsys.readouterr().err
    assert "--force" in error
    assert error.count("\n") == 1
    assert path.read_bytes() == damaged
    assert toy.requests == []
    assert bench("--methods", "add", "--steps", "1", "--force") == 0
    assert len(list(read_records(out / "records"))) == 1


def test_a_damaged_record_of_another_cell_is_left_out_and_said(
    toy: Control, bench: Bench, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench("--methods", "add", "--steps", "1") == 0
    path = next((out / "records").glob("*.json"))
    path.write_text("{")
    assert bench("--methods", "lcm", "--steps", "1") == 0
    assert "left out of results.csv" in capsys.readouterr().err
    assert path.read_text() == "{"


def test_prompt_ids_must_be_safe_file_names(
    toy: Control, bench: Bench, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bench.judging import Prompt
    from tests.harness import fakes

    for ids, message in ((["../a"], "cannot be a file name"), (["a", "A"], "is there twice"), ([], "no prompts")):
        prompts = [Prompt(name, "text", "all") for name in ids]
        monkeypatch.setattr(fakes.ToySuite, "prompts", lambda self, limit=None, prompts=prompts: prompts)
        assert bench("--methods", "add", "--steps", "1") == 1
        assert message in capsys.readouterr().err
        assert not out.exists()


def test_a_method_that_gives_the_wrong_images_fails_its_cell(
    toy: Control, bench: Bench, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.harness import fakes

    sample = fakes.FakeADD.sample
    monkeypatch.setattr(fakes.FakeADD, "sample", lambda self, request: sample(self, request).float())
    assert bench("--methods", "add", "--steps", "1") == 1
    (record,) = read_records(out / "records")
    assert "uint8 (5, 3, H, W) is due" in str(record.reason)
