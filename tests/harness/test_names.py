"""Lazy name tables, and `bench list` on the real ones."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from bench.cli import main
from methods import names
from methods.errors import FewstepError, UsageError
from methods.names import NameTable

TABLE = NameTable("shape", {"circle": ("math:pi", "round"), "broken": ("math:nothing", "not there")}, "fewstep.none")


def with_entry_points(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> NameTable:
    monkeypatch.setattr(names, "entry_points", lambda group: [point for point in points if point.group == group])
    return NameTable("shape", {"circle": ("math:pi", "round")}, "group")


def test_load_summary_and_order() -> None:
    assert TABLE.names() == ("circle", "broken")
    assert TABLE.load("circle") == pytest.approx(3.14159265, abs=1e-8)
    assert TABLE.summary("circle") == "round"


@pytest.mark.parametrize(
    ("wrong", "hint"), [("circel", "; did you mean 'circle'?"), ("CIRCLE", "; did you mean 'circle'?"), ("xyz", "")]
)
def test_unknown_names(wrong: str, hint: str) -> None:
    for look in (TABLE.load, TABLE.summary, TABLE.entry):
        with pytest.raises(UsageError) as caught:
            look(wrong)
        assert str(caught.value) == f"unknown shape {wrong!r}{hint} (`bench list shapes` shows all)"


def test_a_target_that_is_not_there() -> None:
    with pytest.raises(FewstepError, match="shape 'broken' cannot be loaded from math:nothing"):
        TABLE.load("broken")


def test_entry_points_are_merged_and_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("square", "no_such_module_anywhere:Square", "group")
    other = EntryPoint("elsewhere", "math:e", "another group")
    table = with_entry_points(monkeypatch, point, other)
    assert table.names() == ("circle", "square")
    assert table.summary("square") == "from another package"
    with pytest.raises(FewstepError, match="cannot be loaded"):
        table.load("square")


def test_a_clash_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    table = with_entry_points(monkeypatch, EntryPoint("circle", "other:Circle", "group"))
    with pytest.raises(FewstepError, match="'circle' is defined twice: math:pi and other:Circle"):
        table.names()


@pytest.mark.parametrize("options", [[], ["methods"], ["metrics", "--json"], ["suites"]])
def test_list_imports_no_torch(options: list[str]) -> None:
    script = "import sys; from bench.cli import main; main(sys.argv[1:]); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script, "list", *options], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_list_shows_all_three_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    for name in ("methods", "add", "sdxl-euler", "metrics", "fd-shapes", "suites", "shapes"):
        assert name in text.split()
    assert main(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert set(listed) == {"methods", "metrics", "suites"}
    assert set(listed["methods"][0]) == {"name", "summary", "source"}


@pytest.mark.parametrize("command", ["run", "report", "train", "list"])
def test_help_has_examples_and_defaults(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "-h"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "examples:" in text
    assert f"bench {command}" in text
    assert "(default:" in text
