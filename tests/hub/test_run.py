"""`bench run --weights` with names of the hub: what is sampled, recorded, told and refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.plan import RunRequest, make_plan
from bench.record import Record, read_records
from bench.runner import make_loader
from methods.bases import Bases
from methods.names import NameTable
from methods.weights import LORA
from tests.harness import tables
from tests.harness.fakes import ToySuite, control
from tests.hub.hub import REPO, folder_files, write_cache

Bench = Callable[..., int]
TABLE = NameTable(
    "method",
    {
        "sdxl-euler": ("methods.sdxl:SDXLEuler", "stock"),
        "sdxl-ddim": ("methods.sdxl:SDXLDDIM", "stock"),
        "lcm-lora": ("methods.lcm:LCMLoRA", "stock"),
    },
    "fewstep.tests.none",
)


@pytest.fixture
def bench(caches: Path, tmp_path: Path, tiny_pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """`bench run` of stock methods on the toy suite, whose teacher is the tiny pipeline."""
    import methods.registry
    from bench.cli import main

    tables.install(monkeypatch)
    monkeypatch.setattr(methods.registry, "METHODS", TABLE)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/sdxl").symlink_to(tiny_pipeline, target_is_directory=True)
    control.__init__(weights=tmp_path / "weights")  # type: ignore[misc]
    out = ("--out", str(tmp_path / "out"))
    options = ("--suite", "toy", "--device", "cpu", "--steps", "1", "--limit", "2", *out)
    return lambda *more: main(["run", *options, *more])


def records(tmp_path: Path) -> dict[str, Record]:
    return {record.cell.method: record for record in read_records(tmp_path / "out/records")}


def test_a_model_of_the_hub_and_a_lora_in_one_file(
    bench: Bench, caches: Path, tmp_path: Path, tiny_pipeline: Path, tiny_lora_pipeline: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    snapshot = write_cache(caches, REPO, folder_files(tiny_pipeline))
    loads: list[Bases] = []
    keep = Bases.keep
    monkeypatch.setattr(Bases, "keep", lambda self, *args: loads.append(self) or keep(self, *args))  # type: ignore[func-returns-value]
    lora = str(tiny_lora_pipeline / LORA)
    weights = ("--weights", f"sdxl-euler={REPO}", "--weights", f"lcm-lora={lora}")
    assert bench("--methods", "sdxl-euler,lcm-lora", *weights) == 0
    assert len(loads) == 1  # the model and the suite's teacher have the same content
    told = capsys.readouterr().err
    assert f"sdxl-euler: {REPO}@{snapshot.name[:12]}" in told
    found = records(tmp_path)
    (source,) = found["sdxl-euler"].provenance["sources"]
    assert (source["repo"], source["commit"]) == (REPO, snapshot.name)
    assert found["sdxl-euler"].provenance["command"].endswith(f"--weights sdxl-euler={REPO}")
    assert found["lcm-lora"].provenance["command"].endswith("--weights lcm-lora=FOLDER")
    assert found["lcm-lora"].provenance["sources"][0]["file"] == LORA
    assert str(tmp_path) not in repr(found)
    assert bench("--methods", "sdxl-euler,lcm-lora", *weights) == 0
    assert "nothing to do: 2 of 2 cells are there" in capsys.readouterr().out


def test_slicing_stands_in_the_record_and_is_another_measurement(
    bench: Bench, tmp_path: Path, tiny_pipeline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = ("--methods", "sdxl-euler", "--weights", f"sdxl-euler={tiny_pipeline}")
    assert bench(*weights, "--slicing") == 0
    record = records(tmp_path)["sdxl-euler"]
    assert record.provenance["loading"] == {"slicing": True}
    assert record.provenance["command"].endswith("--slicing")
    capsys.readouterr()
    assert bench(*weights) == 0
    assert "nothing to do" not in capsys.readouterr().out
    assert "loading" not in records(tmp_path)["sdxl-euler"].provenance


REFUSED = {
    "not fetched": ("someone/else", "`python -m bench fetch someone/else` fetches it"),
    "a path for a model": ("someone/..", "'someone/..' is not a model on the hub"),
    "a path for a revision": ("a/b@../../x", "is not a branch, a tag or a commit"),
    "a pickle": ("mine.ckpt", "a pickle can run code"),
    "nowhere": ("./nowhere", "there is no folder ./nowhere"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_names_that_cannot_be_had_stop_the_run_before_it_begins(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    assert bench("--methods", "sdxl-euler", "--weights", f"sdxl-euler={text}") == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--offload", "model"), "--offload model needs a GPU; leave it out on a CPU"),
        (("--offload", "disk"), "--offload 'disk' is not one of none, model, sequential"),
    ],
)
def test_offloading_that_makes_no_sense(
    bench: Bench, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str
) -> None:
    assert bench("--methods", "sdxl-euler", *options) == 2
    assert message in capsys.readouterr().err


def test_samplers_of_one_teacher_load_it_once(bench: Bench, tiny_pipeline: Path) -> None:
    request = RunRequest(
        "sdxl-euler,sdxl-ddim", "1", suite="toy", limit=2, device="cpu",
        weights=(f"sdxl-euler={tiny_pipeline}", f"sdxl-ddim={tiny_pipeline}"),
    )  # fmt: skip
    plan = make_plan(request)
    load = make_loader(plan, ToySuite())
    euler, ddim = (load(cell).method for cell in plan.cells)
    assert euler.pipe is ddim.pipe  # type: ignore[attr-defined]
    assert type(ddim.pipe.scheduler).__name__ == "DDIMScheduler"  # type: ignore[attr-defined]
