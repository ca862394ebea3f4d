"""A pickle that the table names: compared with the hub's hash, read as weights alone, kept as safetensors."""

from __future__ import annotations

import io
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from methods.errors import WeightsError
from methods.hub import convert
from methods.hub.convert import convert_pickle, converted_file
from methods.hub.fetch import fetch, plan_fetch
from methods.hub.reference import HubId
from methods.hub.resolve import resolve_wanted
from methods.hub.wanted import Wanted
from tests.hub.hub import REPO, FakeHub, sha

WEIGHTS = {"conv.weight": torch.arange(12, dtype=torch.float16).reshape(3, 4), "conv.bias": torch.ones(3)}
WANTED = Wanted(HubId(REPO, "main", "one_step.bin"), is_pipeline=False, may_be_pickle=True)


def pickled(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


class Explosive:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.fixture
def reader() -> Mapping[str, Any]:
    """The program that reads pickles, its functions by name."""
    return runpy.run_path(str(Path(convert.__file__).parents[1] / "unpickle.py"))


def test_the_one_file_that_may_be_a_pickle_becomes_safetensors(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pickled({"state_dict": WEIGHTS})
    hub.add(REPO, {"one_step.bin": data})
    with monkeypatch.context() as patch:
        patch.setattr(torch, "load", None)  # this process reads no pickle
        fetch(plan_fetch(WANTED), lambda _: None)
        path = resolve_wanted(WANTED)
    assert path == converted_file(sha(data))
    found = load_file(path)
    assert {name: tensor.dtype for name, tensor in found.items()} == {n: t.dtype for n, t in WEIGHTS.items()}
    assert all(torch.equal(found[name], tensor) for name, tensor in WEIGHTS.items())
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(WeightsError, match="was recorded when it was fetched"):
        resolve_wanted(WANTED)


def test_code_in_such_a_file_does_not_run(
    reader: Mapping[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "one_step.bin", tmp_path / "made"
    source.write_bytes(pickled({"conv.weight": Explosive(tmp_path / "ran")}))
    monkeypatch.setattr(sys, "argv", ["unpickle.py", str(source), str(target)])
    assert reader["main"]() == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not target.exists()
    assert not (tmp_path / "ran").exists()
    torch.load(source, weights_only=False)
    assert (tmp_path / "ran").exists()  # read in the ordinary way, it runs


def test_a_file_that_cannot_be_read_leaves_nothing(
    caches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "reader.py"
    script.write_text("import sys; open(sys.argv[2], 'w').close(); sys.exit('warning\\nno tensors in it')")
    monkeypatch.setattr(convert, "_READER", script)
    path = tmp_path / "one_step.bin"
    path.write_bytes(b"anything")
    with pytest.raises(WeightsError) as caught:
        convert_pickle(path, sha(b"anything"))
    assert str(caught.value) == "one_step.bin: cannot be read as weights alone: no tensors in it"
    assert not list(converted_file("").parent.iterdir())


def test_another_file_than_the_one_that_is_named_is_not_read(
    caches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convert, "_run_reader", None)
    path = tmp_path / "one_step.bin"
    path.write_bytes(b"anything")
    with pytest.raises(WeightsError, match=f"sha256 {sha(b'anything')}, but {'0' * 64} was recorded"):
        convert_pickle(path, "0" * 64)


def test_a_pickle_that_the_table_does_not_name_or_the_hub_has_no_hash_of(hub: FakeHub) -> None:
    hub.add(REPO, {"one_step.bin": b"small", "other.bin": pickled(WEIGHTS)})
    with pytest.raises(WeightsError, match="a pickle of which the hub gives no sha256 is never read"):
        plan_fetch(WANTED)
    with pytest.raises(WeightsError, match="a pickle can run code"):
        plan_fetch(Wanted(HubId(REPO, "main", "other.bin"), is_pipeline=False))
    assert hub.fetched(".bin") == []


@pytest.mark.parametrize("value", [[1, 2], {}, {"a": 1}, {3: torch.ones(1)}, None])
def test_what_holds_more_than_named_tensors_is_refused(reader: Mapping[str, Any], value: object) -> None:
    with pytest.raises(ValueError, match=r"expected named tensors|not a tensor"):
        reader["tensors_of"](value)
