"""Text from outside, where it goes: a terminal, a spreadsheet, a record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from bench.record import Quantity, Record, write_record
from bench.results import write_results
from bench.text import REDACTED, cell_text, one_line, printable, redacted
from methods.errors import FewstepError
from tests.harness import fakes
from tests.harness.fakes import Control
from tests.harness.test_parts import CELL

Bench = Callable[..., int]


def test_what_a_terminal_acts_on_is_spelled_out() -> None:
    assert printable("\x1b[31mred\x07\x9b2J") == "\\x1b[31mred\\x07\\x9b2J"
    assert printable("a\u202etxt.exe") == "a\\u202etxt.exe"
    assert printable("plain · text, 100 % é 猫\n") == "plain · text, 100 % é 猫\n"
    assert one_line("a\nerror: all is well\tb") == "a\\nerror: all is well b"
    assert len(one_line("x" * 10_000)) < 2100


@pytest.mark.parametrize("text", ["=1+1", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_formula_is_quoted(text: str) -> None:
    assert cell_text(text) == f"'{text}"


@pytest.mark.parametrize("value", ["add", "-1.5", "+3", "1e-3", "-", -1.5, None, "a=b"])
def test_a_number_and_plain_text_stay(value: object) -> None:
    assert cell_text(value) == (value if value != "-" else "'-")


def test_a_table_holds_no_formula_and_its_numbers_stay(tmp_path: Path) -> None:
    quantity = Quantity("fd", -1.5, -2.0, -1.0, 7, "=cmd|'/C calc'!A0", True, {})
    record = Record(CELL, "ok", None, (quantity,), {}, {}, {})
    write_results([record], tmp_path)
    frame = pd.read_csv(tmp_path / "results.csv")
    assert frame["unit"].item() == "'=cmd|'/C calc'!A0"
    assert frame["value"].item() == -1.5


def test_secrets_are_left_out() -> None:
    environment = {"HF_TOKEN": "hunter2-hunter2", "TOKENIZERS_PARALLELISM": "disabled", "HOME": "/home/somebody"}
    told = "401 for hunter2-hunter2 in /home/somebody, disabled"
    assert redacted(told, environment) == f"401 for {REDACTED} in /home/somebody, disabled"
    assert redacted(f"hf_{'a1' * 17}", {}) == REDACTED
    assert redacted("https://me:secret@host/x", {}) == f"https://{REDACTED}@host/x"
    assert redacted("https://host/x@main and a:b", {}) == "https://host/x@main and a:b"


def test_no_file_of_a_run_holds_a_secret(
    toy: Control,
    bench: Bench,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    secret = "s3cr3t-of-the-user"
    monkeypatch.setenv("WANDB_API_KEY", secret)

    def fail(name: str, _request: object) -> None:
        if name == "add":
            raise RuntimeError(f"request with {secret} failed")
        raise FewstepError(f"{secret} was refused")

    toy.on_sample = fail
    assert bench("--methods", "add,lcm", "--steps", "1") == 1
    toy.on_sample = None
    made = fakes.FakeGuided.__init__

    def with_secret(self: fakes.FakeGuided, shift: float) -> None:
        made(self, shift)
        self.recipe = fakes.Recipe(scheduler="Fake", scheduler_config={"token": secret})

    monkeypatch.setattr(fakes.FakeGuided, "__init__", with_secret)
    assert bench("--methods", "guided", "--steps", "1") == 0
    told = capsys.readouterr()
    assert secret not in told.out + told.err
    for path in (*out.glob("records/*"), *out.glob("logs/*"), *out.glob("*.*")):
        assert secret.encode() not in path.read_bytes(), path
    assert any(REDACTED in path.read_text() for path in out.glob("records/*"))


def test_a_record_names_no_other_folder(tmp_path: Path) -> None:
    from dataclasses import replace

    from bench.errors import RecordError
    from bench.record import read_record

    for bad in ("../../etc", "/etc/x", "a\\b", ".hidden", "a\x1b[31m"):
        (tmp_path / "records").mkdir(exist_ok=True)
        path = write_record(Record(CELL, "ok", None, (), {}, {}, {}), tmp_path / "records")
        path.write_text(path.read_text().replace('"method": "add"', f'"method": {bad!r}'.replace("'", '"')))
        with pytest.raises(RecordError):
            read_record(path)
    assert replace(CELL, method="lcm-lora").name.startswith("lcm-lora-2")
