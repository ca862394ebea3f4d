"""Trials on this machine: what is planted, that they go on where they stopped, and one round with real methods."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.errors import FewstepError
from bench.gate import trials
from bench.gate.checkout import ROOT
from bench.gate.latency import DENOISER, TOTAL
from bench.gate.noise import NoiseStore
from bench.gate.run import Outcome, Request
from bench.gate.sides import Settings, Side
from bench.gate.turns import one_round
from bench.gate.verdicts import Verdict
from tests.gate.worlds import check


def test_there_are_twenty_of_equal_sides_and_ten_planted() -> None:
    found = trials.trials()
    assert [trial.plant for trial in found].count(None) == 20
    assert {trial.plant for trial in found} == {None, "sleep", "spacing", "quantised"}
    assert len({trial.name for trial in found}) == len(found) == 30


def test_an_alarm_is_wanted_where_something_was_planted_and_only_there() -> None:
    planted, alike = trials.Trial("a", "sleep"), trials.Trial("b", None)
    assert planted.good("REGRESSION")
    assert not planted.good("INCONCLUSIVE")
    assert alike.good("INCONCLUSIVE")
    assert not alike.good("REGRESSION")
    assert not alike.good("RECIPE_MISMATCH")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    (tmp_path / "tree" / "methods").mkdir(parents=True)
    shutil.copy(ROOT / trials.PLANTED_FILE, tmp_path / "tree" / "methods")
    return tmp_path / "tree"


@pytest.mark.parametrize("name", [None, *trials.PLANTS])
def test_what_is_planted_is_code_of_that_tree_alone(name: str | None, copy: Path) -> None:
    before = (ROOT / trials.PLANTED_FILE).read_text()
    trials.plant(copy, name)
    planted = (copy / trials.PLANTED_FILE).read_text()
    compile(planted, "sampling.py", "exec")
    assert (planted == before) is (name is None)
    assert (ROOT / trials.PLANTED_FILE).read_text() == before


def test_trials_go_on_where_they_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str | None] = []

    @contextmanager
    def nothing(_ref: str) -> Iterator[Path]:
        yield tmp_path

    def gate(_base: Side, _head: Side, _request: Request) -> Outcome:
        verdict = Verdict.REGRESSION if asked[-1] else Verdict.PASS
        return Outcome((check(verdict=verdict),), 1, 2.0, "base", "head")

    monkeypatch.setattr(trials, "checked_out", nothing)
    monkeypatch.setattr(trials, "gate_trees", gate)
    monkeypatch.setattr(trials, "plant", lambda _tree, name: asked.append(name))
    request = Request(trials.SETTINGS, tmp_path / "out", NoiseStore(tmp_path / "noise.json"))
    assert len(list(trials.run_trials(request, most=3))) == len(asked) == 3
    found = list(trials.run_trials(request))
    assert len(asked) == len(found) == 30
    assert all(trial.good(result["verdict"]) for trial, result in found)
    first = tmp_path / "out" / "aa-01.json"
    assert json.loads(first.read_text())["plant"] is None
    first.write_text("{}")
    with pytest.raises(FewstepError, match="delete it"):
        list(trials.run_trials(request))


@pytest.mark.slow
def test_a_round_with_real_methods(tmp_path: Path) -> None:
    sides = Side("base", ROOT), Side("head", ROOT)
    found = one_round(*sides, Settings(("add",), (1, 3)), random.Random(0), tmp_path, pairs=3)
    assert list(found) == [("add", 1), ("add", 3)]
    for pairs in found.values():
        for side in (*(pair.base for pair in pairs), *(pair.head for pair in pairs)):
            assert {"text_encoder", DENOISER, "decoder", TOTAL} <= set(side)
            assert 0 < side[DENOISER] < side[TOTAL] < 60
