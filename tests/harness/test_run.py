"""The main job on fakes: records, images, results, resume, failure."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench import provenance
from bench.record import Record, read_records
from bench.report.frame import TIDY_COLUMNS
from bench.strips import COLOUR_STEP
from tests.harness import fakes, tables
from tests.harness.fakes import Control

Bench = Callable[..., int]
TWO = ("--methods", "add,lcm", "--steps", "1,4")


def pngs(out: Path) -> dict[str, str]:
    """Relative path -> sha256 of every stored image."""
    found = sorted((out / "images").rglob("*.png"))
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def records(out: Path) -> dict[tuple[str, int], Record]:
    return {(r.cell.method, r.cell.num_inference_steps): r for r in read_records(out / "records")}


def tree(out: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_a_run_leaves_records_images_sheets_and_results(toy: Control, bench: Bench, out: Path) -> None:
    assert bench(*TWO) == 0
    found = records(out)
    assert set(found) == {("add", 1), ("add", 4), ("lcm", 1), ("lcm", 4)}
    assert len(pngs(out)) == 4 * 12
    record = found["add", 4]
    names = {quantity.name for quantity in record.quantities}
    assert {"brightness", "spread", "latency_s", "images_per_s", "peak_memory_bytes", "nfe"} <= names
    nfe = record.quantity("nfe")
    assert nfe is not None
    assert nfe.value == 4
    assert len(record.per_image["brightness"]) == 12
    assert record.provenance["recipe"]["timesteps"] == {"1": [999]}
    sheet = Image.open(out / "sheets" / f"{record.cell.name}.webp")
    assert sheet.size == (12 * 4, 4)
    first = Image.open(out / "images" / record.cell.name / "00000.png")
    away = np.abs(np.array(sheet, np.int16)[:, :4] - np.array(first, np.int16))
    assert away.max() <= COLOUR_STEP // 2  # colours of a strip are rounded, so never by more than half a step
    assert json.loads((out / "prompts.json").read_text())[1] == {"id": "00001", "text": "prompt 1", "category": "all"}
    assert toy.loads == ["add", "lcm"]  # once for consecutive cells


def test_results_are_tidy_and_both_files_agree(toy: Control, bench: Bench, out: Path) -> None:
    assert bench(*TWO) == 0
    csv, parquet = pd.read_csv(out / "results.csv"), pd.read_parquet(out / "results.parquet")
    assert tuple(csv.columns) == TIDY_COLUMNS == tuple(parquet.columns)
    assert not csv.duplicated(["suite", "method", "num_inference_steps", "quantity"]).any()
    assert np.allclose(csv["value"], parquet["value"])
    row = csv[(csv["method"] == "lcm") & (csv["num_inference_steps"] == 1) & (csv["quantity"] == "brightness")]
    stored = records(out)["lcm", 1].quantity("brightness")
    assert stored is not None
    assert row["value"].item() == pytest.approx(stored.value, rel=1e-12)  # text of a float64
    assert row["n"].item() == 12


def test_metrics_see_what_is_stored(toy: Control, bench: Bench, out: Path) -> None:
    assert bench("--methods", "add", "--steps", "1") == 0
    record = records(out)["add", 1]
    for index, value in enumerate(record.per_image["brightness"]):
        image = np.array(Image.open(out / "images" / record.cell.name / f"{index:05}.png"))
        assert value == pytest.approx(image.mean(), rel=1e-6)  # float32 mean of 48 bytes


def test_seeds_belong_to_prompts(toy: Control, bench: Bench, out: Path) -> None:
    assert bench("--methods", "add,lcm", "--steps", "1", "--seed", "3") == 0
    for name in ("add", "lcm"):
        requests = [request for method, request in toy.generated if method == name]
        assert [len(request.seeds) for request in requests] == [5, 5, 2]
        seeds = [seed for request in requests for seed in request.seeds]
        assert seeds == [3 * 1_000_003 + index for index in range(12)]


def test_an_image_depends_on_neither_batch_size_nor_limit(toy: Control, bench: Bench, out: Path) -> None:
    assert bench("--methods", "add", "--steps", "1") == 0
    assert bench("--methods", "add", "--steps", "1", "--batch-size", "7") == 0
    assert bench("--methods", "add", "--steps", "1", "--limit", "3") == 0
    assert bench("--methods", "add", "--steps", "1", "--seed", "1") == 0
    by_cell: dict[str, list[str]] = {}
    for name, digest in pngs(out).items():
        by_cell.setdefault(name.split("/")[1], []).append(digest)
    groups = sorted(by_cell.items(), key=lambda item: ("-s1-" in item[0], len(item[1])))
    (_, short), (_, one), (_, other), (_, other_seed) = groups
    assert one == other
    assert one[:3] == short
    assert len(set(one) & set(other_seed)) == 0  # the comparison can fail


def test_the_same_command_again_does_nothing(
    toy: Control, bench: Bench, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(*TWO) == 0
    before, first = tree(out), capsys.readouterr().out
    toy.requests.clear()
    assert bench(*TWO) == 0
    assert toy.requests == []
    assert tree(out) == before
    second = capsys.readouterr().out
    assert second.startswith("nothing to do: 4 of 4 cells are there\n")
    assert second.endswith(first)  # and the same table


def test_nothing_to_do_needs_no_torch(toy: Control, bench: Bench, out: Path) -> None:
    assert bench(*TWO) == 0
    script = (
        "import sys\n"
        "from tests.harness import tables\n"
        "tables.install(type('Set', (), {'setattr': staticmethod(setattr)}))\n"
        "from bench.cli import main\n"
        "code = main(sys.argv[1:])\n"
        "heavy = [name for name in ('torch', 'diffusers', 'transformers') if name in sys.modules]\n"
        "print('heavy:', heavy)\n"
        "sys.exit(code)\n"
    )
    options = ["run", "--suite", "toy", "--device", "cpu", "--batch-size", "5", "--out", str(out), *TWO]
    done = subprocess.run([sys.executable, "-c", script, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "nothing to do" in done.stdout
    assert "heavy: []" in done.stdout
    forced = subprocess.run([sys.executable, "-c", script, *options, "--limit", "99"], capture_output=True, check=False)
    assert forced.returncode == 2  # a bad request is found without torch, too
    assert b"heavy: []" in forced.stdout


def test_a_stopped_run_goes_on_and_gives_the_same_bytes(
    toy: Control, bench: Bench, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(_name: str, _request: object) -> None:
        if len(toy.generated) == 5:
            raise KeyboardInterrupt

    toy.on_sample = stop
    assert bench(*TWO) == 130
    kept = pngs(out)
    assert len(kept) == 12 + 5  # all slices of the first cell, one of the second
    assert f"same command goes on from here ({len(kept)} of 48 images kept)" in capsys.readouterr().err
    assert len(records(out)) == 1
    toy.on_sample = None
    toy.requests.clear()
    assert bench(*TWO) == 0
    assert {name: digest for name, digest in pngs(out).items() if name in kept} == kept
    assert len(toy.generated) == 2 + 3 + 3  # nothing is sampled twice
    images_per_s = records(out)["add", 4].quantity("images_per_s")
    assert images_per_s is not None
    assert images_per_s.n == 3  # slices of both runs

    resumed = pngs(out)
    assert bench(*TWO, "--out", str(tmp_path / "whole")) == 0
    assert pngs(tmp_path / "whole") == resumed


def test_a_slice_with_a_missing_or_cut_image_is_sampled_whole(toy: Control, bench: Bench, out: Path) -> None:
    assert bench("--methods", "add", "--steps", "1") == 0
    before = pngs(out)
    folder = out / "images" / records(out)["add", 1].cell.name
    (folder / "00006.png").unlink()
    cut = folder / "00011.png"
    cut.write_bytes(cut.read_bytes()[:-4])
    next((out / "records").glob("*.json")).unlink()
    toy.requests.clear()
    assert bench("--methods", "add", "--steps", "1") == 0
    assert [len(request.seeds) for _, request in toy.generated] == [5, 2]
    assert pngs(out) == before


def test_a_failed_cell_is_a_record_and_others_go_on(
    toy: Control, bench: Bench, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(name: str, request: object) -> None:
        if name == "add":
            raise RuntimeError("boom\nsecond line")

    toy.on_sample = fail
    assert bench(*TWO) == 1
    found = records(out)
    assert found["add", 1].status == found["add", 4].status == "failed"
    assert found["lcm", 1].status == found["lcm", 4].status == "ok"
    reason = found["add", 1].reason
    assert reason is not None
    assert reason.startswith("RuntimeError: boom (trace in logs/")
    assert "Traceback" in (out / "logs" / f"{found['add', 1].cell.name}.txt").read_text()
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    assert "add, 1 step: failed: RuntimeError: boom" in captured.out
    toy.on_sample = None
    toy.requests.clear()
    assert bench(*TWO) == 0  # a failed cell is tried again, a measured one is not
    assert {name for name, _ in toy.requests} == {"add"}
    assert records(out)["add", 1].status == "ok"


def test_missing_weights_fail_the_cell_with_the_message(
    toy: Control, bench: Bench, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert toy.weights is not None
    (toy.weights / "add" / "weights.txt").unlink()
    assert bench("--methods", "add,lcm", "--steps", "1") == 1
    assert "has no weights.txt; train it" in str(records(out)["add", 1].reason)
    assert records(out)["lcm", 1].status == "ok"


def test_an_unsupported_cell_is_a_record_and_no_failure(
    toy: Control, bench: Bench, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench("--methods", "add", "--steps", "1,9") == 0
    record = records(out)["add", 9]
    assert (record.status, record.reason) == ("unsupported", "at most 8 steps")
    assert "add, 9 steps: unsupported: at most 8 steps" in capsys.readouterr().out
    toy.loads.clear()
    assert bench("--methods", "add", "--steps", "1,9") == 0
    assert toy.loads == []


def test_a_broken_metric_fails_the_cell_and_keeps_the_images(toy: Control, bench: Bench, out: Path) -> None:
    assert bench("--methods", "add", "--steps", "1", "--metrics", "broken") == 1
    assert records(out)["add", 1].reason == "metric 'broken' cannot be computed: no sense"
    assert len(pngs(out)) == 12


def test_too_few_images_leave_a_metric_out_with_the_reason(toy: Control, bench: Bench, out: Path) -> None:
    assert bench("--methods", "add", "--steps", "1", "--metrics", "brightness,hungry") == 0
    record = records(out)["add", 1]
    assert record.quantity("hungry") is None
    assert record.provenance["left_out"] == {"hungry": "needs at least 100 images"}
    toy.loads.clear()
    assert bench("--methods", "add", "--steps", "1", "--metrics", "brightness,hungry") == 0
    assert toy.loads == []


def test_a_metric_that_the_seed_does_not_allow(
    toy: Control, bench: Bench, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench("--methods", "add", "--steps", "1", "--metrics", "choosy", "--seed", "1") == 2  # asked for by name
    assert capsys.readouterr().err.endswith("error: choosy needs seed 0\n")
    assert pngs(out) == {}
    monkeypatch.setattr(tables, "INFO", replace(tables.INFO, metrics=("brightness", "choosy")))
    assert bench("--methods", "add", "--steps", "1", "--seed", "1") == 0  # one of the suite's own
    assert records(out)["add", 1].provenance["left_out"] == {"choosy": "choosy needs seed 0"}
    assert records(out)["add", 1].quantity("brightness") is not None
    assert "choosy is left out: choosy needs seed 0" in capsys.readouterr().out


def test_another_metric_is_measured_on_the_kept_images(toy: Control, bench: Bench, out: Path) -> None:
    assert bench("--methods", "add", "--steps", "1", "--metrics", "spread") == 0
    before = pngs(out)
    toy.requests.clear()
    toy.extracted = 0
    assert bench("--methods", "add", "--steps", "1", "--metrics", "spread,brightness") == 0
    assert records(out)["add", 1].quantity("brightness") is not None
    assert toy.generated == []
    assert toy.extracted == 0  # features come from the cache
    assert pngs(out) == before


def test_other_weights_make_new_images_and_the_same_make_none(
    toy: Control, bench: Bench, out: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "weights.txt").write_text("0.05")
    command = ("--methods", "add", "--steps", "1", "--weights", f"add={folder}")
    assert bench(*command) == 0
    before = pngs(out)
    toy.loads.clear()
    assert bench(*command) == 0
    assert toy.loads == []
    (folder / "weights.txt").write_text("0.4")
    assert bench(*command) == 0
    assert toy.loads == ["add"]
    assert pngs(out) != before
    assert str(folder) not in next((out / "records").glob("*.json")).read_text()


def test_force_samples_again(toy: Control, bench: Bench, out: Path) -> None:
    assert bench("--methods", "add", "--steps", "1") == 0
    before = pngs(out)
    toy.requests.clear()
    assert bench("--methods", "add", "--steps", "1", "--force") == 0
    assert len(toy.generated) == 3
    assert pngs(out) == before


def test_a_stopped_force_is_not_taken_for_done(toy: Control, bench: Bench, out: Path) -> None:
    assert bench("--methods", "add", "--steps", "1") == 0

    def stop(_name: str, request: object) -> None:
        raise KeyboardInterrupt

    toy.on_sample = stop
    assert bench("--methods", "add", "--steps", "1", "--force") == 130
    toy.on_sample = None
    assert bench("--methods", "add", "--steps", "1") == 0
    assert len(pngs(out)) == 12


def test_guidance_none_has_one_name(toy: Control, bench: Bench, out: Path) -> None:
    assert bench("--methods", "add", "--steps", "1", "--guidance-scale", "0") == 0
    assert bench("--methods", "add", "--steps", "1", "--guidance-scale", "1.0") == 0
    (record,) = records(out).values()
    assert record.cell.guidance_scale == 1.0
    assert toy.loads == ["add"]


def test_records_name_no_place_or_person(toy: Control, bench: Bench, out: Path, tmp_path: Path) -> None:
    assert bench("--methods", "add", "--steps", "1") == 0
    text = next((out / "records").glob("*.json")).read_text()
    for secret in (str(tmp_path), str(Path.home()), os.uname().nodename):
        assert secret not in text
    assert '"command": "python -m bench run --methods add --steps 1' in text


def test_a_checkpoint_for_each_step_count_is_loaded_for_its_cells(
    toy: Control, bench: Bench, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fakes.FakeADD, "info", replace(fakes.FakeADD.info, checkpoint_per_step_count=True))
    for steps, shift in ((1, "0.1"), (4, "0.2")):
        (tmp_path / "weights" / f"add-{steps}").mkdir()
        (tmp_path / "weights" / f"add-{steps}" / "weights.txt").write_text(shift)
    assert bench("--methods", "add", "--steps", "1,4") == 0
    assert toy.loads == ["add", "add"]
    found = records(out)
    weights = [found["add", steps].provenance["weights"] for steps in (1, 4)]
    folders = [tmp_path / "weights" / name for name in ("add-1", "add-4")]
    assert weights == [provenance.folder_hash(folder) for folder in folders]
    assert weights[0] != weights[1]


def test_a_folder_given_by_the_user_serves_every_step_count(
    toy: Control, bench: Bench, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fakes.FakeADD, "info", replace(fakes.FakeADD.info, checkpoint_per_step_count=True))
    assert bench("--methods", "add", "--steps", "1,4", "--weights", f"add={tmp_path / 'weights' / 'add'}") == 0
    assert toy.loads == ["add"]
