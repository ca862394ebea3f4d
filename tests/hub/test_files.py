"""Headers and hashes of files: what the safetensors library reads, and never an old hash for new content."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from methods.errors import WeightsError
from methods.hub import hashes
from methods.hub.headers import TensorHeader, read_header
from tests.hub.hub import safetensors, sha


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "some.safetensors"
    tensors = {"a.weight": np.zeros((2, 3), np.float16), "b": np.zeros((), np.float32), "c": np.zeros(5, np.int64)}
    save_file(tensors, path, {"format": "pt"})
    return path


def test_a_header_says_what_the_library_wrote(file: Path) -> None:
    assert read_header(file) == {
        "a.weight": TensorHeader("F16", (2, 3)),
        "b": TensorHeader("F32", ()),
        "c": TensorHeader("I64", (5,)),
    }


def test_the_writer_of_these_tests_writes_what_the_library_reads(tmp_path: Path) -> None:
    from safetensors.numpy import load

    found = load(safetensors({"x": (2, 2)}, "F32"))
    assert found["x"].shape == (2, 2)


@pytest.mark.parametrize("keep", [0, 4, 8, 30, -1, -8])
def test_a_truncated_file_is_refused_with_its_hash(file: Path, keep: int) -> None:
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(WeightsError) as caught:
        read_header(file)
    assert str(file) in str(caught.value)
    assert sha(file.read_bytes()) in str(caught.value)
    assert "get or train it again" in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [b"\xff" * 64, b"\x02\0\0\0\0\0\0\0[]", b'\x0b\0\0\0\0\0\0\0{"a": null}', b'\x10\0\0\0\0\0\0\0{"a": {"dtype":1}}'],
)  # fmt: skip
def test_what_is_no_header_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(WeightsError, match="damaged"):
        read_header(tmp_path / "x")


def test_longer_than_announced_is_refused(file: Path) -> None:
    with file.open("ab") as more:
        more.write(b"\0")
    with pytest.raises(WeightsError, match="of which the header announces"):
        read_header(file)


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FEWSTEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hashes, "SETTLED_S", -1.0)
    hashes.forget()
    path = tmp_path / "large"
    path.write_bytes(bytes(hashes.WORTH_KEEPING))
    return path


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    calls: list[Path] = []
    real = hashes.hash_file
    monkeypatch.setattr(hashes, "hash_file", lambda path: calls.append(path) or real(path))  # type: ignore[func-returns-value]
    return calls


def test_a_hash_is_computed_once_here_and_in_another_process(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counted(monkeypatch)
    assert hashes.sha256_of(large) == hashes.sha256_of(large) == sha(large.read_bytes())
    hashes.forget()  # what another process knows
    assert hashes.sha256_of(large) == sha(large.read_bytes())
    assert len(calls) == 1


def test_a_changed_byte_is_seen_though_size_and_time_of_modification_are_as_before(large: Path) -> None:
    before, times = hashes.sha256_of(large), large.stat()
    data = bytearray(large.read_bytes())
    data[1000] ^= 1
    large.write_bytes(data)
    os.utime(large, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert large.stat().st_mtime_ns == times.st_mtime_ns
    assert hashes.sha256_of(large) == sha(bytes(data)) != before


def test_a_file_just_written_is_not_remembered(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashes, "SETTLED_S", 60.0)
    calls = counted(monkeypatch)
    hashes.sha256_of(large)
    hashes.sha256_of(large)
    assert len(calls) == 2
