"""Judges from the hub: fetched, recorded, checked at every load; the two pickles that are named become safetensors."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file
from transformers import CLIPConfig

from bench.cli import main
from bench.errors import WeightsError
from bench.metrics.hub.convert import hpsv2
from bench.metrics.hub.inception import FILE, CleanInception
from bench.metrics.judge_table import WEIGHTS
from bench.metrics.weights import JudgeFiles
from methods.hub import hashes
from tests.hub.conftest import caches, hub  # noqa: F401  (fixtures)
from tests.hub.hub import FakeHub, folder_files
from tests.judges.make import write_clip, write_inception
from tests.judges.test_convert_published import JOINT, OpenClip

CPU = torch.device("cpu")


@pytest.fixture
def offline(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:  # noqa: F811
    return lambda: monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def test_a_judge_is_fetched_recorded_and_checked(
    hub: FakeHub, tmp_path: Path, offline: Callable[[], None], capsys: pytest.CaptureFixture[str]  # noqa: F811
) -> None:  # fmt: skip
    files = folder_files(write_clip(tmp_path / "clip"))
    hub.add(WEIGHTS["pickscore"].source, {**files, "pytorch_model.bin": b"pickle" * 99, "README.md": b"# a card"})
    given = JudgeFiles({"pickscore": None})
    with pytest.raises(WeightsError, match=r"is not on this disk; `python -m bench fetch --judges pickscore` fetches"):
        given.path("pickscore", "pickscore")
    assert main(["fetch", "--judges", "pickscore"]) == 0
    assert f"{WEIGHTS['pickscore'].source}@" in capsys.readouterr().out
    assert not hub.fetched(".bin")
    offline()
    folder = given.path("pickscore", "pickscore")
    assert given.hash("pickscore", "pickscore") == JudgeFiles({"pickscore": tmp_path / "clip"}).hash("pickscore", "x")
    weights = (folder / "model.safetensors").resolve()
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    hashes.forget()
    with pytest.raises(WeightsError, match="was recorded when it was fetched"):
        JudgeFiles({"pickscore": None}).path("pickscore", "pickscore")


def test_the_pickle_of_a_judge_is_read_by_another_process_and_renamed(
    hub: FakeHub, tmp_path: Path, offline: Callable[[], None], monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = OpenClip().state_dict()
    buffer = io.BytesIO()
    torch.save({"state_dict": state}, buffer)
    hub.add("xswu/HPSv2", {"HPS_v2.1_compressed.pt": buffer.getvalue(), "other.pt": b"never"})
    CLIPConfig(projection_dim=JOINT).save_pretrained(tmp_path / "words")
    (tmp_path / "words/tokenizer.json").write_text("{}")
    hub.add(str(WEIGHTS["hpsv2"].config), folder_files(tmp_path / "words") | {"model.safetensors": b"not needed" * 99})
    monkeypatch.setattr(torch, "load", None)  # this process reads no pickle
    assert main(["fetch", "--judges", "hpsv2"]) == 0
    assert not hub.fetched("model.safetensors")
    assert not hub.fetched("other.pt")
    offline()
    folder = JudgeFiles({"hpsv2": None}).path("hpsv2", "hpsv2")
    found = load_file(folder / "model.safetensors")
    assert set(found) == set(hpsv2(dict(state)))
    assert all(torch.equal(found[name], value) for name, value in hpsv2(dict(state)).items())
    assert (folder / "tokenizer.json").is_file()
    assert (folder / "config.json").is_file()
    assert JudgeFiles({"hpsv2": None}).path("hpsv2", "hpsv2") == folder
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    made = folder / "model.safetensors"
    made.write_bytes(made.read_bytes()[:-1] + b"!")
    with pytest.raises(WeightsError, match="was recorded when it was fetched"):
        JudgeFiles({"hpsv2": None}).path("hpsv2", "hpsv2")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--judges", "clip"], "'clip' is not one of inception, "),
        (["--judges", "aesthetic"], "it is not on the hub; convert the published file once with"),
        (["--judges", "pickscore,"], "has an empty entry"),
    ],
)
def test_judges_that_cannot_be_fetched(options: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", *options]) == 2
    assert told in capsys.readouterr().err


def test_inceptions_program_is_compared_before_it_is_loaded(
    caches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    folder = write_inception(tmp_path / "inception")
    CleanInception(folder, "", CPU)
    CleanInception(folder / FILE, "", CPU)
    data = bytearray((folder / FILE).read_bytes())
    loaded: list[str] = []
    monkeypatch.setattr("bench.metrics.hub.inception.InceptionV3W", lambda path, **_: loaded.append(path))
    (folder / FILE).write_bytes(data + b"!")
    with pytest.raises(WeightsError, match="was recorded when it was fetched"):
        CleanInception(folder, "", CPU)
    with pytest.raises(WeightsError, match=f"but {'0' * 64} was recorded"):
        CleanInception(folder, "0" * 64, CPU)
    other = tmp_path / "inception" / "mine.pt"  # whose hash was right, while the file beside it would be loaded
    other.write_bytes(data)
    with pytest.raises(WeightsError, match=f"clean-fid looks for {FILE}; give the file that name"):
        CleanInception(other, "", CPU)
    assert loaded == []
