"""A sample of the self-test: how often the gate is wrong over simulated gates, and that naive gates are far worse.

`python -m bench gate --self-test` counts 1,000 gates of each kind over real images.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from bench.errors import UsageError
from bench.gate import selftest, tallies
from bench.gate.latency import DENOISER, TOTAL
from bench.gate.margins import LATENCY_MARGIN
from bench.gate.selftest import ALARMS, CELLS, CONTROLS, Tally, simulated_gate
from bench.gate.simulation import FeatureBank, Machine, quality, synthetic_bank
from bench.gate.tallies import read_tallies, write_tallies
from bench.gate.verdicts import Verdict

GATES = 100


@pytest.fixture(scope="module")
def bank() -> FeatureBank:
    return synthetic_bank(np.random.default_rng(0))


def gates(bank: FeatureBank, count: int, kind: int, **planted: object) -> list[selftest.Result]:
    return [simulated_gate(bank, np.random.default_rng((kind, k)), **planted) for k in range(count)]  # type: ignore[arg-type]


def test_equal_sides_raise_no_alarm(bank: FeatureBank) -> None:
    found = gates(bank, GATES, 0)
    assert sum(result.verdict in ALARMS for result in found) == 0
    assert sum(result.verdict is Verdict.PASS for result in found) > GATES / 2, "and it does not only shrug"


def test_five_percent_slower_is_caught(bank: FeatureBank) -> None:
    found = [result.verdict for result in gates(bank, GATES, 1, slower={TOTAL: 1.05})]
    assert found.count(Verdict.REGRESSION) >= 91  # 95 %, less two standard deviations


def test_what_is_slower_by_the_margin_hardly_ever_passes(bank: FeatureBank) -> None:
    found = gates(bank, GATES, 6, slower={TOTAL: 1 + LATENCY_MARGIN})
    passed = sum(
        check.verdict is Verdict.PASS for result in found for check in result.checks
        if (check.cell, check.title) == (CELLS[0], "latency")
    )  # fmt: skip
    assert passed <= 0.05 * GATES


def test_a_denoiser_five_percent_slower_is_caught_by_its_own_time(bank: FeatureBank) -> None:
    found = gates(bank, GATES, 2, slower={DENOISER: 1.05})
    caught = [check for result in found for check in result.checks if check.verdict is Verdict.REGRESSION]
    assert sum(result.verdict is Verdict.REGRESSION for result in found) >= 91  # 95 %, less two standard deviations
    assert {(check.cell, check.title) for check in caught} <= {(CELLS[0], "denoiser"), (CELLS[0], "latency")}


def test_broken_images_are_caught_by_the_frechet_distance_of_their_cell(bank: FeatureBank) -> None:
    found = gates(bank, 30, 3, broken=0.05)
    caught = [check.cell for result in found for check in result.checks if check.quantity == "fd-shapes"
              and check.verdict is Verdict.REGRESSION]  # fmt: skip
    assert caught == [CELLS[0]] * 30


@pytest.mark.parametrize("name", CONTROLS)
def test_naive_gates_raise_false_alarms(name: str) -> None:
    alarms = sum(CONTROLS[name](Machine(np.random.default_rng((4, k)))) for k in range(GATES))
    assert alarms > 0.05 * GATES, "the simulated machine is too tame to show anything"


def test_twice_the_noise_makes_it_undecided_and_not_wrong(bank: FeatureBank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.gate.simulation.PROCESS", 0.02)
    found = gates(bank, 20, 5)
    assert not any(result.verdict in ALARMS for result in found)
    assert sum(result.verdict is Verdict.INCONCLUSIVE for result in found) > 10


def test_processes_and_an_earlier_runs_tallies_change_nothing(bank: FeatureBank, tmp_path: Path) -> None:
    told: list[str] = []
    plain = list(selftest.run(bank, 4, tell=told.append))
    assert told[:4] == [f"nothing changed: {k} of 4 gates" for k in range(1, 5)]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert list(selftest.run(bank, 4, each=partial(pool.map, chunksize=2))) == plain
    path = tmp_path / "self-test.json"
    write_tallies(path, [replace(plain[0], hits=3), plain[1]], 4)
    finished = read_tallies(path, 4)
    resumed = list(selftest.run(bank, 4, finished=finished))
    assert [resumed[0].hits, *resumed[1:]] == [3, *plain[1:]]


def test_tallies_of_other_code_images_or_numbers_are_not_kept(
    bank: FeatureBank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "self-test.json"
    assert read_tallies(path, 4) == {}
    write_tallies(path, [Tally("nothing changed", "false alarms", 0, 4, wanted=("at most", 0.01))], 4)
    assert read_tallies(path, 4)["nothing changed"].wanted == ("at most", 0.01)
    assert read_tallies(path, 5) == {}
    bank.save(tmp_path / "images.npz")
    assert read_tallies(path, 4) == {}
    (tmp_path / "images.npz").unlink()
    code = tmp_path / "code"
    code.mkdir()
    monkeypatch.setattr(tallies, "__file__", str(code / "tallies.py"))
    assert read_tallies(path, 4) == {}
    path.write_text("{", encoding="utf-8")
    assert read_tallies(path, 4) == {}


def test_a_bank_is_kept_as_arrays(bank: FeatureBank, tmp_path: Path) -> None:
    bank.save(tmp_path / "bank.npz")
    again = FeatureBank.load(tmp_path / "bank.npz")
    np.testing.assert_array_equal(again.features, bank.features)
    one, other = (quality(item, np.random.default_rng(1), "c", 100) for item in (bank, again))
    assert one == other
    (tmp_path / "bad.npz").write_text("no")
    with pytest.raises(UsageError, match="delete it"):
        FeatureBank.load(tmp_path / "bad.npz")


def test_a_tally_is_held_against_what_is_wanted() -> None:
    assert Tally("a", "false alarms", 10, 1000, wanted=("at most", 0.01)).good
    assert not Tally("a", "false alarms", 11, 1000, wanted=("at most", 0.01)).good
    assert not Tally("a", "caught", 949, 1000, wanted=("at least", 0.95)).good
    low, high = Tally("a", "caught", 50, 100).interval
    assert 0.39 < low < 0.41 < 0.59 < high < 0.61
