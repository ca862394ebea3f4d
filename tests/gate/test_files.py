"""Files of the gate: baselines, the noise floor, checkouts, and results of pytest-benchmark."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from bench.errors import FewstepError, UsageError
from bench.gate.baseline import read_baseline, write_baseline
from bench.gate.benchmarks import benchmark_checks
from bench.gate.checkout import checked_out, commit_of
from bench.gate.decide import decide
from bench.gate.latency import TOTAL
from bench.gate.noise import KEPT, NoiseStore, store_for
from bench.gate.verdicts import Verdict
from tests.gate.worlds import FLOOR, pairs, record


def test_a_baseline_comes_back_as_it_was(tmp_path: Path) -> None:
    records = [record(), record(steps=4)]
    write_baseline(tmp_path / "b.json", records, {"limit": 400})
    found = read_baseline(tmp_path / "b.json")
    assert list(found.records) == records
    assert found.commit == "0" * 40
    assert found.settings == {"limit": 400}


def test_a_changed_checkout_gives_no_commit(tmp_path: Path) -> None:
    plain = record(provenance={**record().provenance, "code": {"commit": "0" * 40, "dirty": True}})
    assert write_baseline(tmp_path / "b.json", [plain], {}).commit is None


def test_a_failed_cell_is_no_baseline(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="it broke"):
        write_baseline(tmp_path / "b.json", [record(status="failed", reason="it broke")], {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "[" * 100_000, '{"kind": "fewstep-bench baseline", "schema": 1}', "\x00", '{"schema": 1}',
     '{"kind": "fewstep-bench baseline", "schema": 1, "commit": 3, "settings": {}, "records": [{"cell": 1}]}',
     '{"kind": "fewstep-bench baseline", "schema": 1, "commit": null, "settings": 7, "records": []}',
     '{"kind": "fewstep-bench baseline", "schema": 1, "commit": null, "settings": {}, "records": []}'],
)  # fmt: skip
def test_what_is_no_baseline_is_one_clear_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(UsageError, match="bench baseline") as caught:
        read_baseline(tmp_path / "b.json")
    assert "\n" not in str(caught.value)


def test_the_noise_floor_is_the_spread_between_sides_of_rounds(tmp_path: Path) -> None:
    store = NoiseStore(tmp_path / "gate" / "noise.json")
    assert (store.rounds, store.floors()[TOTAL].values) == (0, 0)
    rng = np.random.default_rng(0)
    for _ in range(40):
        store.add([pairs(rng, slower=float(np.exp(0.004 * rng.standard_normal())), noise=0.0001) for _ in range(2)])
    floor = store.floors()[TOTAL]
    assert (store.rounds, floor.values) == (40, 80)
    assert 0.0028 < floor.spread < 0.0052  # 0.004, and an eighth of it is one standard deviation of a median size
    for _ in range(KEPT):
        store.add([pairs(rng)])
    assert store.rounds == KEPT
    store.clear()
    store.clear()
    assert store.rounds == 0


def test_a_damaged_noise_floor_is_measured_again(tmp_path: Path) -> None:
    store = NoiseStore(tmp_path / "noise.json")
    for text in ("", "[]", '{"rounds": 3}', '{"rounds": [{"total": "x"}]}', '{"rounds": [3]}'):
        store.path.write_text(text)
        assert store.floors()[TOTAL].values == 0


def test_the_noise_floor_is_of_a_machine_and_its_threads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FEWSTEP_CACHE", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    here = store_for("cpu").path
    assert here.parent == tmp_path / "gate"
    assert store_for("cpu").path == here
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert store_for("cpu").path != here
    monkeypatch.setattr("bench.gate.noise.machine_facts", lambda: {"cpu": "another"})
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert store_for("cpu").path != here


def git(folder: Path, *args: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *args], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_commit_is_checked_out_beside_and_removed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    (root / "file").write_text("one")
    git(root, "add", ".")
    git(root, "commit", "-qm", "one")
    first = git(root, "rev-parse", "HEAD")
    (root / "file").write_text("two")
    with checked_out("main", root) as tree:
        assert (tree / "file").read_text() == "one"
        assert (root / "file").read_text() == "two", "the checkout itself stays as it is"
    assert not tree.exists()
    assert git(root, "worktree", "list").count("\n") == 0
    assert commit_of("main", root) == commit_of(first, root) == first
    for ref in ("nothing", "", "--help", "-q", "main:file"):
        assert commit_of(ref, root) is None
        with pytest.raises(UsageError, match="no commit"), checked_out(ref, root):
            pass
    with pytest.raises(FewstepError), checked_out("main", tmp_path):
        pass


def benchmark(folder: Path, name: str, seconds: float) -> Path:
    path = folder / f"{name}.json"
    data = {"benchmarks": [{"fullname": "tests/speed/test_a.py::test_a", "stats": {"median": seconds}}]}
    path.write_text(json.dumps(data))
    return path


@pytest.mark.parametrize(("slower", "verdict"), [(1.0, Verdict.PASS), (1.08, Verdict.REGRESSION)])
def test_benchmarks_made_in_turn_are_gated(slower: float, verdict: Verdict, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sides = [
        [benchmark(tmp_path, f"{side}{k}", factor * float(np.exp(0.003 * rng.standard_normal()))) for k in range(12)]
        for side, factor in (("base", 1.0), ("head", slower))
    ]
    (found,) = decide(benchmark_checks(*sides, FLOOR))
    assert (found.cell, found.verdict) == ("speed/test_a", verdict)


def test_one_file_of_each_side_is_only_reported(tmp_path: Path) -> None:
    (found,) = decide(benchmark_checks([benchmark(tmp_path, "a", 1.0)], [benchmark(tmp_path, "b", 1.5)], FLOOR))
    assert found.verdict is None
    assert found.change == pytest.approx(50)


def test_benchmarks_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    good = benchmark(tmp_path, "a", 1.0)
    (tmp_path / "bad.json").write_text("{}")
    (tmp_path / "other.json").write_text('{"benchmarks": []}')
    bad = ([], [tmp_path / "bad.json"], [tmp_path / "other.json"], [tmp_path / "none"])
    for head in (*bad, [benchmark(tmp_path, "nan", float("nan"))]):
        with pytest.raises(UsageError):
            benchmark_checks([good], head, FLOOR)
