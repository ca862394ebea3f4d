"""A full disk, a closed folder, two runs at once, signals, memory that runs out, a clock that goes backwards."""

from __future__ import annotations

import errno
import io
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.errors import StorageError, UsageError
from bench.folder import STALE
from bench.lock import LOCK, FolderLock
from bench.record import Record, read_records
from bench.signals import Terminated, exit_status, termination_stops
from bench.storage import storage_error, storing, write_all
from methods.interface import SampleRequest
from tests.harness.fakes import Control
from tests.harness.test_run import TWO, pngs, records

Bench = Callable[..., int]
ONE = ("--methods", "add", "--steps", "1")


def only(out: Path) -> Record:
    (record,) = read_records(out / "records")
    return record


@pytest.fixture
def small_files() -> Iterator[Callable[[int], None]]:
    """Sets the largest size of a file, as a full disk does: a part of the file is written, the rest refused."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [60, 700], ids=["no image fits", "no record fits"])
def test_a_full_disk_is_one_line_and_the_same_command_goes_on(
    toy: Control,
    bench: Bench,
    out: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    small_files: Callable[[int], None],
    size: int,
) -> None:
    def shrink(_name: str, _request: object) -> None:
        if len(toy.generated) == 2:
            small_files(size)

    toy.on_sample = shrink
    status = bench(*ONE)
    small_files(resource.RLIM_INFINITY)
    error = capsys.readouterr().err
    assert status == 1
    assert f"error: {out}: cannot be written (File too large); free some space; then the same command goes on" in error
    assert "Traceback" not in error
    assert list((out / "records").glob("*.json")) == []  # no record says what the disk did
    toy.on_sample = None
    assert bench(*ONE) == 0
    assert bench(*ONE, "--out", str(tmp_path / "whole")) == 0
    assert pngs(out) == pngs(tmp_path / "whole")


def test_a_disk_that_takes_a_part_without_complaint_is_noticed() -> None:
    class Filling(io.RawIOBase):
        taken = 0

        def write(self, content: Any) -> int:
            if self.taken >= 10:
                raise OSError(errno.ENOSPC, "No space left on device")
            self.taken += min(7, len(content))
            return min(7, len(content))

    with pytest.raises(OSError, match="No space left"):
        write_all(Filling(), b"x" * 100)  # type: ignore[arg-type]
    file = Filling()
    write_all(file, b"x" * 12)  # type: ignore[arg-type]
    assert file.taken == 12


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_folder_that_was_closed_meanwhile_stops_the_run(
    toy: Control,
    bench: Bench,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
) -> None:
    real = Path.open

    def refuse(path: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
        if path.suffix == ".png" and "w" in mode:
            raise OSError(number, os.strerror(number), str(path))
        return real(path, mode, *args, **options)

    monkeypatch.setattr(Path, "open", refuse)
    assert bench(*TWO) == 1
    assert "give write permission; then the same command goes on from here" in capsys.readouterr().err
    assert len(toy.generated) == 1  # the other cells are not tried
    monkeypatch.undo()


def test_an_error_about_other_files_is_not_the_disks(tmp_path: Path) -> None:
    assert storage_error(PermissionError(errno.EACCES, "Permission denied", "/weights/of/mine"), tmp_path) is None
    assert storage_error(ValueError("x"), tmp_path) is None
    with pytest.raises(StorageError, match="Permission denied"), storing(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "records"))
    with pytest.raises(StorageError, match="No space left on device"), storing(tmp_path):
        raise RuntimeError("I/O error: No space left on device (os error 28)")  # as safetensors says it


def test_two_runs_at_once_the_second_is_refused(
    toy: Control, bench: Bench, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inside: list[int] = []

    def second(_name: str, _request: object) -> None:
        if not inside:
            inside.append(bench("--methods", "lcm", "--steps", "1"))

    toy.on_sample = second
    assert bench(*ONE) == 0
    assert inside == [2]
    assert f"another command (process {os.getpid()}) is writing to {out}; wait until it is done" in (
        capsys.readouterr().err
    )
    assert not (out / LOCK).exists()
    toy.on_sample = None
    assert bench("--methods", "lcm", "--steps", "1") == 0


def test_the_lock_of_a_killed_process_holds_nobody_up(tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from bench.lock import FolderLock\n"
        "with FolderLock(Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(600)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(UsageError, match=rf"another command \(process {holder.pid}\)"), FolderLock(tmp_path):
        pass
    holder.kill()
    holder.wait()
    assert (tmp_path / LOCK).exists()  # left behind, and free
    with FolderLock(tmp_path):
        assert (tmp_path / LOCK).read_text() == f"{os.getpid()}\n"
    assert not (tmp_path / LOCK).exists()


def test_a_folder_with_nothing_but_a_lock_of_a_killed_run_is_empty(toy: Control, bench: Bench, out: Path) -> None:
    out.mkdir()
    (out / LOCK).write_text("1\n")
    (out / "fewstep-bench.json.partial").write_text("{")
    assert bench(*ONE) == 0


def test_sigterm_stops_as_ctrl_c_does_and_says_how_to_go_on(
    toy: Control, bench: Bench, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(_name: str, _request: object) -> None:
        if len(toy.generated) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)  # the handler runs between two instructions

    toy.on_sample = stop
    assert bench(*ONE) == 143
    assert "stopped; the same command goes on from here (5 of 12 images kept)" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    toy.on_sample = None
    assert bench(*ONE) == 0


def test_a_handler_of_somebody_else_is_left_alone() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: seen.append(number))
    try:
        with termination_stops():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
        assert seen == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
    assert exit_status(Terminated()) == 143
    assert exit_status(KeyboardInterrupt()) == 130


def out_of_memory_above(most: int) -> Callable[[str, SampleRequest], None]:
    def check(_name: str, request: SampleRequest) -> None:
        if len(request.prompts) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    return check


def test_out_of_memory_halves_the_batch_and_the_record_says_so(
    toy: Control, bench: Bench, out: Path, tmp_path: Path
) -> None:
    toy.on_sample = out_of_memory_above(2)
    assert bench(*ONE) == 0
    assert only(out).provenance["halved"] == {"2": [0, 1, 2]}
    rate = only(out).quantity("images_per_s")
    assert rate is not None
    assert rate.protocol["batch_size"] == 2
    assert [len(request.prompts) for _, request in toy.generated] == [5, 2, 2, 2, 2, 2]  # five, refused, once alone
    toy.on_sample = None
    assert bench(*ONE, "--out", str(tmp_path / "whole")) == 0
    assert pngs(out) == pngs(tmp_path / "whole")
    assert "halved" not in only(tmp_path / "whole").provenance


def test_a_run_that_goes_on_keeps_the_smaller_batch(toy: Control, bench: Bench, out: Path) -> None:
    check = out_of_memory_above(2)

    def stop(name: str, request: SampleRequest) -> None:
        if len(toy.requests) >= 7:
            raise KeyboardInterrupt
        check(name, request)

    toy.on_sample = stop
    assert bench(*ONE) == 130
    toy.on_sample, toy.requests[:] = check, []
    assert bench(*ONE) == 0
    assert max(len(request.prompts) for _, request in toy.requests) == 2  # no slice is tried whole again
    assert only(out).provenance["halved"] == {"2": [0, 1, 2]}


def test_no_memory_for_one_image_fails_the_cell_with_the_fix(toy: Control, bench: Bench, out: Path) -> None:
    toy.on_sample = out_of_memory_above(0)
    assert bench(*ONE) == 1
    assert str(only(out).reason).startswith("out of memory with one image at once; free some, or use --dtype")


def test_an_error_that_is_not_about_memory_halves_nothing(toy: Control, bench: Bench, out: Path) -> None:
    def fail(_name: str, _request: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    toy.on_sample = fail
    assert bench(*ONE) == 1
    assert len(toy.requests) == 1


def test_a_clock_that_goes_backwards_changes_nothing(
    toy: Control, bench: Bench, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(2_000_000_000, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(now)))

    def stop(_name: str, _request: object) -> None:
        if len(toy.generated) == 2:
            raise KeyboardInterrupt

    toy.on_sample = stop
    assert bench(*TWO) == 130
    future = time.perf_counter() + 4e9
    for path in out.rglob("*"):
        os.utime(path, (future, future))  # written by a clock that was years ahead
    toy.on_sample = None
    assert bench(*TWO) == 0
    toy.requests.clear()
    assert bench(*TWO) == 0
    assert toy.requests == []
    assert bench(*TWO, "--out", str(tmp_path / "whole")) == 0
    assert pngs(out) == pngs(tmp_path / "whole")
    assert all(quantity.value >= 0 for record in records(out).values() for quantity in record.quantities)


def test_results_that_lack_the_last_record_are_written_again(toy: Control, bench: Bench, out: Path) -> None:
    assert bench(*ONE) == 0
    before = (out / "results.csv").read_bytes()
    assert bench(*TWO) == 0
    whole = (out / "results.csv").read_bytes()
    (out / "results.csv").write_bytes(before)  # killed after the last record, before the table
    (out / STALE).touch()
    assert bench(*TWO) == 0
    assert (out / "results.csv").read_bytes() == whole
    assert not (out / STALE).exists()


def test_what_a_killed_run_was_writing_is_swept_up(toy: Control, bench: Bench, out: Path) -> None:
    assert bench(*ONE) == 0
    left = [out / "records" / "x.json.partial", out / "results.csv.partial", out / "sheets" / "y.partial"]
    left += [next((out / "images").iterdir()) / "source.json.partial"]
    for path in left:
        path.write_text("half")
    assert bench(*ONE, "--force") == 0
    assert not [path for path in left if path.exists()]
