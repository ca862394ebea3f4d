"""`bench run --family` and `bench doctor`: from the command line to a record, with every refusal on the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.cli import main
from bench.record import Cell, Record, read_records
from bench.report.frame import label, tidy
from methods.checkpoints import table
from methods.checkpoints.table import find
from methods.interface import Recipe
from methods.recipes import write_recipe
from methods.registry import METHODS
from tests.harness import fakes, tables
from tests.released.rows import Folders, small

Bench = Callable[..., int]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bench]:
    """`bench run` on a toy suite, with the real methods and every row of the table at a few pixels."""
    import methods.registry

    tables.install(monkeypatch)
    monkeypatch.setattr(methods.registry, "METHODS", METHODS)
    everything = tuple(small(row) if row.runs else row for row in table.all_rows())
    monkeypatch.setattr(table, "all_rows", lambda: everything)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    fakes.reset()

    def run(*options: str) -> int:
        out = str(tmp_path / "out")
        fixed = ["--suite", "toy", "--device", "cpu", "--limit", "2", "--batch-size", "2", "--metrics", "brightness"]
        return main(["run", *fixed, "--out", out, *options])

    yield run
    fakes.reset()


def only(tmp_path: Path) -> Record:
    (record,) = read_records(tmp_path / "out" / "records")
    return record


def test_a_row_becomes_a_record(bench: Bench, folders: Folders, tmp_path: Path) -> None:
    folder = folders.folder(find("hyper-sd", "sd15", 2))
    options = ("--methods", "hyper-sd", "--family", "sd15", "--steps", "2", "--weights", f"hyper-sd={folder}")
    assert bench(*options) == 0
    record = only(tmp_path)
    assert (record.status, record.cell.family, record.cell.off_recipe) == ("ok", "sd15", False)
    assert record.cell.name.startswith("hyper-sd-sd15-2-n2-")
    assert record.provenance["off_recipe"] == []
    assert record.provenance["recipe"]["scheduler"] == "DDIMScheduler"
    nfe = record.quantity("nfe")
    assert nfe is not None
    assert nfe.value == 2
    assert "--family sd15" in record.provenance["command"]
    assert bench(*options) == 0  # nothing to do


def test_a_step_count_without_weights_is_an_unsupported_cell(bench: Bench, folders: Folders, tmp_path: Path) -> None:
    folder = folders.folder(find("add", "sd21"))
    options = ("--methods", "add", "--family", "sd21", "--steps", "6", "--weights", f"add={folder}")
    assert bench(*options) == 0
    assert only(tmp_path).status == "unsupported"
    assert "meant for 1 to 4" in str(only(tmp_path).reason)
    assert bench(*options, "--allow-off-recipe") == 0
    found = {record.cell.off_recipe: record for record in read_records(tmp_path / "out" / "records")}
    assert found[True].status == "ok"
    assert any(line.startswith("steps is 6") for line in found[True].provenance["off_recipe"])


def test_guidance_off_the_recipe_is_refused_before_anything_is_loaded(
    bench: Bench, folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folders.folder(find("lcm-lora", "sd15"))
    options = (
        "--methods", "lcm-lora", "--family", "sd15", "--steps", "2", "--guidance-scale", "7",
        "--weights", f"lcm-lora={folder}",
    )  # fmt: skip
    assert bench(*options) == 2
    error = capsys.readouterr().err
    assert "guidance_scale is 7, the recipe has 1 to 2: LCM-LoRA blurs and burns above 2" in error
    assert "--allow-off-recipe" in error
    assert not (tmp_path / "out").exists()
    assert bench(*options, "--allow-off-recipe") == 0
    assert "lcm-lora@sd15 g=7 (off recipe)" in capsys.readouterr().out
    record = only(tmp_path)
    assert record.cell.off_recipe
    assert label(record.cell) == "lcm-lora@sd15 g=7 (off recipe)"
    assert set(tidy([record])["method"]) == {"lcm-lora@sd15 (off recipe)"}
    assert "lcm-lora@sd15 (off recipe)" in (tmp_path / "out" / "results.csv").read_text()
    assert [line.partition(" is ")[0] for line in record.provenance["off_recipe"]] == ["guidance_scale"]
    assert record.provenance["command"].count("--allow-off-recipe") == 1


def test_another_recipe_beside_the_weights_is_refused(
    bench: Bench, folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folders.copy(find("add", "sd21"), tmp_path / "mine")
    write_recipe(folder, Recipe("DDIMScheduler", {"timestep_spacing": "leading"}, height=16, width=16))
    options = ("--methods", "add", "--family", "sd21", "--steps", "2", "--weights", f"add={folder}")
    assert bench(*options) == 2
    assert "scheduler is DDIMScheduler, the recipe has EulerDiscreteScheduler" in capsys.readouterr().err
    assert bench(*options, "--allow-off-recipe") == 0
    told = " ".join(only(tmp_path).provenance["off_recipe"])
    assert "timestep_spacing is leading" in told
    assert "timesteps is 501, 1" in told


@pytest.mark.parametrize(
    ("options", "status", "told"),
    [
        (["--methods", "lightning"], 2, "has released weights alone; name their family with --family (sdxl)"),
        (["--methods", "dmd2", "--family", "sd15"], 2, "'dmd2' has no checkpoint of family 'sd15'; it has sdxl"),
        (["--methods", "add", "--family", "sdlx"], 2, "did you mean 'sdxl'?"),
        (["--methods", "add", "--family", "sd15"], 2, "No public weights"),
        (["--methods", "z-image-turbo", "--family", "zimage"], 2, "not run here"),
        (["--methods", "flux-schnell", "--family", "flux", "--dtype", "float16"], 2, "dtype is float16"),
        (["--methods", "instaflow", "--family", "sd15", "--steps", "1"], 1, "bench fetch --methods instaflow"),
        (["--methods", "tcd", "--family", "sd15", "--steps", "4"], 1, "bench fetch --methods tcd --family sd15"),
    ],
)
def test_what_cannot_be_run(
    bench: Bench, options: list[str], status: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(*options) == status
    captured = capsys.readouterr()
    assert told in captured.err + captured.out


def test_the_embedded_suite_takes_no_family(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--methods", "add", "--family", "sdxl", "--limit", "2"]) == 2
    assert "the judges of suite 'shapes' know its own images alone" in capsys.readouterr().err


def test_a_new_field_names_no_older_cell_anew() -> None:
    cell = Cell("shapes", "add", 1, None, 0, 1000, "cpu", "float32", 50)
    assert set(cell.stated) == {
        "suite", "method", "num_inference_steps", "guidance_scale", "seed", "limit", "device", "dtype", "batch_size",
    }  # fmt: skip
    stored = next(Path("reports/results/records").glob("add-1-n1000-*.json"))
    assert Cell(**json.loads(stored.read_text())["cell"]).name == stored.stem


class TestDoctor:
    """`bench doctor`, whose answer is the exit status as well."""

    def test_the_whole_table_is_as_its_cards_ask(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["doctor"]) == 0
        out = capsys.readouterr().out
        rows = table.all_rows()
        published = sum(row.repo is not None for row in rows)
        told = f"{published} as their cards ask, {len(rows) - published} without public weights"
        assert f"{len(rows)} checkpoints: {told}" in out
        assert 0 < published < len(rows)
        assert "add · sd15 · 4 steps · no public weights" in out
        assert "flux2-klein · flux2 · 4 steps · as its card asks, not run here" in out

    def test_a_mistake_is_named(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["doctor", "--methods", "lcm-lora", "--family", "sdxl", "--guidance-scale", "7"]) == 1
        out = capsys.readouterr().out
        assert "expected 1 to 2, actual 7  <- LCM-LoRA blurs and burns above 2" in out
        assert "1 checkpoint looked at, 1 off their recipe" in out

    def test_half_precision_that_overflows(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["doctor", "--methods", "ladd", "--dtype", "float16"]) == 1
        assert "overflow in float16: black images" in capsys.readouterr().out

    def test_each_step_count_has_its_own_row(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["doctor", "--methods", "lightning", "--steps", "1,4,3"]) == 1
        out = capsys.readouterr().out
        assert "lightning · sdxl · 1 step · as its card asks" in out
        assert "lightning · sdxl · 4 steps · as its card asks" in out
        assert "lightning · sdxl · 3 steps · 1 setting off the recipe" in out
        assert "prediction_type   sample" in out

    def test_given_weights_are_loaded_and_read(
        self, folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rows = tuple(small(row) for row in table.all_rows())
        monkeypatch.setattr(table, "all_rows", lambda: rows)
        row = find("add", "sd21")
        good = folders.folder(row)
        options = ["doctor", "--methods", "add", "--family", "sd21", "--steps", "4", "--weights"]
        assert main([*options, f"add={good}"]) == 0
        assert "999, 749, 499, 249" in capsys.readouterr().out
        bad = folders.copy(row, tmp_path / "bad")
        write_recipe(bad, Recipe("EulerDiscreteScheduler", {"timestep_spacing": "leading"}, height=16, width=16))
        assert main([*options, f"add={bad}"]) == 1
        out = capsys.readouterr().out
        assert "expected trailing, actual leading  <- leading spacing may start below the last timestep" in out
        assert "expected 999, 749, 499, 249, actual 751, 501, 251, 1" in out

    def test_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["doctor", "--methods", "dmd2", "--json"]) == 0
        first, second = json.loads(capsys.readouterr().out)
        assert (first["steps"], second["steps"]) == (4, 1)
        assert second["filename"].endswith(".bin")
        assert all(check["ok"] for check in first["checks"])

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            (["--methods", "ad"], "did you mean 'add'?"),
            (["--methods", "dmd2", "--family", "flux"], "'dmd2' has no released checkpoint of family 'flux'"),
            (["--family", "sdlx"], "did you mean 'sdxl'?"),
            (["--dtype", "int8"], "--dtype 'int8' is not one of"),
            (["--methods", "add", "--weights", "add=tests"], "of which family? name one with --family"),
            (["--methods", ","], "--methods is empty"),
        ],
    )
    def test_requests_that_make_no_sense(
        self, options: list[str], told: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["doctor", *options]) == 2
        assert told in capsys.readouterr().err
