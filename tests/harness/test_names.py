"""Lazy name tables, and `bench list` on the real ones."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from bench.cli import main
from methods import names
from methods.errors import FewstepError, UsageError
from methods.interface import Method
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


def test_a_clash_raises_where_the_name_is_used_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    points = (EntryPoint("circle", "other:Circle", "group"), EntryPoint("two", "math:tau", "group"))
    table = with_entry_points(monkeypatch, *points)
    assert table.names() == ("circle", "two")
    with pytest.raises(FewstepError, match=r"'circle' is defined twice: math:pi \(fewstep-bench\) and other:Circle"):
        table.load("circle")
    assert table.load("two") == math.tau


BROKEN = {
    "no module": (EntryPoint("new", "no_such_module:New", "group"), "there is no module 'no_such_module'"),
    "no class": (EntryPoint("new", "math", "group"), "write MODULE:CLASS in its entry points"),
    "nothing in it": (EntryPoint("new", "math:", "group"), "write MODULE:CLASS in its entry points"),
    "a name with a comma": (EntryPoint("a,b", "math:e", "group"), "has a name that cannot be asked for"),
}


@pytest.mark.parametrize(("point", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_plugin_is_named_without_importing_it(
    monkeypatch: pytest.MonkeyPatch, point: EntryPoint, message: str
) -> None:
    table = with_entry_points(monkeypatch, point, EntryPoint("two", "math:tau", "group"))
    assert message in str(table.entry(point.name).problem)
    with pytest.raises(FewstepError) as caught:
        table.load(point.name)
    assert message in str(caught.value)
    assert repr(point.name) in str(caught.value)
    assert table.entry("two").problem is None
    assert table.load("two") == math.tau


def test_a_plugin_whose_import_fails_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "explodes.py").write_text("raise RuntimeError('needs a newer driver')")
    monkeypatch.syspath_prepend(tmp_path)
    table = with_entry_points(monkeypatch, EntryPoint("bomb", "explodes:Bomb", "group"))
    assert table.entry("bomb").problem is None  # it takes an import to see it, and a list imports nothing
    with pytest.raises(FewstepError, match=r"'bomb' cannot be loaded from explodes:Bomb .*: needs a newer driver"):
        table.load("bomb")


class Half(Method):
    """A method that forgot to sample."""

    @classmethod
    def load(cls, weights: Path, *, device: object, dtype: object) -> Half:
        raise AssertionError

    components = property(dict)

    def unsupported(self, request: object) -> None:
        return None


def test_what_is_no_whole_subclass_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint("pi", "math:pi", "group"), EntryPoint("half", f"{__name__}:Half", "group")]
    monkeypatch.setitem(sys.modules, __name__, sys.modules[Half.__module__])
    table = with_entry_points(monkeypatch, *points)
    with pytest.raises(FewstepError, match=r"'pi' .*is not a subclass of methods.interface.Method"):
        table.load_subclass("pi", Method)
    with pytest.raises(FewstepError, match=r"'half' .* does not define sample"):
        table.load_subclass("half", Method)


def test_list_names_what_is_broken_on_stderr_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bench import registry

    points = (EntryPoint("new", "no_such_module:New", "group"), EntryPoint("two", "math:tau", "group"))
    monkeypatch.setattr(registry, "METRICS", with_entry_points(monkeypatch, *points))
    assert main(["list", "metrics"]) == 0
    captured = capsys.readouterr()
    assert "[another package]  (broken)" in captured.out
    assert captured.err.startswith("broken: metric 'new' of another package cannot be loaded: there is no module")
    assert captured.err.count("\n") == 1
    assert main(["list", "metrics", "--json"]) == 0
    by_name = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)["metrics"]}
    assert "no_such_module" in by_name["new"]["problem"]
    assert by_name["two"] == {"name": "two", "summary": "from another package", "source": "another package"}


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


@pytest.mark.parametrize("command", ["run", "fetch", "report", "train", "list"])
def test_help_has_examples_and_defaults(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "-h"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "examples:" in text
    assert f"bench {command}" in text
    assert "(default:" in text
