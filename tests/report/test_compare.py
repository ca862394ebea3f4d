"""`bench compare` on records with a known answer."""

from __future__ import annotations

import json
import random

import pytest

from bench.cli import main


@pytest.fixture
def results(make, tmp_path):
    def record(method: str, steps: int, shift: float, **protocol: str):
        common, own = random.Random(steps), random.Random(f"{method} {steps}")
        values = tuple(common.gauss(0, 20) + shift + own.gauss(0, 1) for _ in range(100))
        quantity = make.quantity("clip-shapes", shift, 4, higher=True, **protocol)
        return make.record(method, steps, (quantity, make.quantity("latency_s", 1)), {"clip-shapes": values})

    def write(codec: str = "png"):
        records = [record("add", 1, 2.0), record("lcm", 1, 0.0), record("add", 4, 0.0), record("lcm", 4, 0.05)]
        return make.write_results(tmp_path / "run", [*records, record("pd", 1, 0.0, codec=codec)])

    return write


def test_the_table_says_who_is_better_and_what_would_tell(results, capsys):
    assert main(["compare", "--results", str(results(codec="")), "--methods", "add,lcm"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "shapes · 40 prompts · seed 0 · cpu float32 · batches of 20"
    rows = [line.split() for line in lines if line.startswith(("1 ", "4 "))]
    assert [row[:5] for row in rows] == [
        ["1", "add", "lcm", "CLIP-shapes", "↑"],
        ["4", "add", "lcm", "CLIP-shapes", "↑"],
    ]
    assert rows[0][-1] == "better"
    assert " ".join(rows[1]).split("cannot tell (about ")[1].endswith(" images would)")
    assert any(line.startswith("2 comparisons") for line in lines)
    assert "atency" not in "".join(lines)  # no number an image


def test_json_has_everything(results, capsys):
    arguments = ["compare", "--results", str(results(codec="")), "--methods", "lcm", "--against", "add", "--json"]
    assert main(arguments) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["method"], row["against"], row["num_inference_steps"]) for row in rows] == [
        ("lcm", "add", 1),
        ("lcm", "add", 4),
    ]
    assert rows[0]["verdict"] == "worse"
    assert rows[0]["ci_low"] < rows[0]["difference"] < rows[0]["ci_high"] < 0
    assert len(set(rows[0]["protocols"])) == 1


def test_another_protocol_is_one_line_with_the_field(results, capsys):
    assert main(["compare", "--results", str(results(codec="jpeg"))]) == 1
    assert "protocol field 'codec' is None and 'jpeg'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "dmd"], "--methods: no record with dmd; there are add, lcm, pd"),
        (["--steps", "2"], "--steps: no record with 2; there are 1, 4"),
        (["--metrics", "fid"], "--metrics: no record with fid; there are clip-shapes"),
        (["--against", "dmd"], "--against: no record with dmd"),
        (["--methods", "add"], "nothing to compare"),
    ],
)
def test_requests_that_make_no_sense(results, capsys, arguments, message):
    assert main(["compare", "--results", str(results(codec="")), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1
