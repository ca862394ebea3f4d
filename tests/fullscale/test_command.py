"""`bench train --teacher`: what makes no sense is refused in one line that names the fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.cli import build_parser, main
from bench.errors import UsageError
from bench.fullscale.command import make_request
from bench.fullscale.request import FullScale


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["add", "--data", "x"], "--data without --teacher"),
        (["add", "--batch-size", "8"], "--batch-size without --teacher"),
        (["add", "--plan-memory"], "--plan-memory without --teacher"),
        (["add", "--teacher", "t"], "--teacher without --data"),
        (["--teacher", "t", "--data", "x"], "one method at a time; name one of add, lcm"),
        (["add", "lcm", "--teacher", "t", "--data", "x"], "one method at a time"),
        (["clip", "--teacher", "t", "--data", "x"], "'clip' cannot be trained from --teacher"),
        (["add", "--teacher", "t", "--data", "x", "--resolution", "100"], "--resolution 100: a positive multiple of 8"),
        (["add", "--teacher", "t", "--data", "x", "--steps", "0"], "--steps 0: at least 1"),
        (["add", "--teacher", "t", "--data", "x", "--dtype", "float16"], "--dtype float16: one of float32, bfloat16"),
        (["add", "--teacher", "t", "--data", "x", "--learning-rate", "-1"], "--learning-rate -1: above 0"),
        (["add", "--teacher", "t", "--data", "x", "--processes", "2"], "use `accelerate launch`"),
        (["add", "--teacher", "t", "--data", "x", "--threads", "0"], "--threads 0: at least 1"),
        (["--list", "--teacher", "t"], "leave --teacher out"),
        (
            ["add", "--teacher", "t", "--data", "x", "--batch-size", "6", "--accumulation", "4"],
            "--batch-size 6 does not divide into 1 processes x --accumulation 4; give a multiple of 4",
        ),
    ],
)
def test_a_request_that_makes_no_sense_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error


def test_options_become_a_request() -> None:
    parsed = build_parser().parse_args(
        ["train", "add", "--teacher", "a/b", "--data", "photos", "--gradient-checkpointing", "--accumulation", "4"]
    )
    request = make_request(parsed)
    assert request == FullScale(
        method="add", teacher="a/b", data=Path("photos"), gradient_checkpointing=True, accumulation=4
    )
    assert request.micro_batch(8) == 4
    with pytest.raises(UsageError, match="--batch-size 128 does not divide into 5 processes"):
        request.micro_batch(5)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "add", "--teacher", str(tmp_path), "--data", str(tmp_path / "none"), "--out", str(tmp_path)]
    assert main(arguments) == 1
    assert "none: no such folder or tar file" in capsys.readouterr().err
