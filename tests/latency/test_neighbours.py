"""Other processes are found by what they used meanwhile, from files as Linux writes them, and from a fake driver."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.latency.neighbours import LEAST_SHARE, Neighbour, Watch, program_name
from bench.latency.nvml import open_nvml

TICKS = os.sysconf("SC_CLK_TCK")
NOBODY = 2**22 + 1  # Linux gives no process such a number


def process(proc: Path, pid: int, name: str, parent: int, seconds: float) -> None:
    (proc / str(pid)).mkdir(exist_ok=True)
    used = round(seconds * TICKS)
    fields = ["S", str(parent), *["0"] * 9, str(used // 2), str(used - used // 2), *["0"] * 20]
    (proc / str(pid) / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")
    (proc / str(pid) / "comm").write_text(name + "\n")


def test_busy_processes_are_named_and_our_own_are_not(tmp_path: Path) -> None:
    now, own = [100.0], os.getpid()
    process(tmp_path, own, "python", 1, 5)
    process(tmp_path, 900, "train) me", 1, 50)  # a name may hold a bracket
    process(tmp_path, 901, "idle", 1, 7)
    process(tmp_path, 902, "quiet", 1, 7)
    watch = Watch(tmp_path, lambda: now[0])
    watch.start()
    now[0] += 10
    process(tmp_path, own, "python", 1, 15)
    process(tmp_path, 900, "train) me", 1, 65)
    process(tmp_path, 902, "quiet", 1, 7 + 10 * LEAST_SHARE * 0.5)
    process(tmp_path, own + 1, "worker", own, 9)  # a child of ours
    process(tmp_path, own + 2, "helper", own + 1, 9)  # and its child
    process(tmp_path, 903, "late", 1, 2)  # began meanwhile
    assert watch.neighbours() == [Neighbour("train) me", 1.5), Neighbour("late", 0.2)]


def test_a_system_without_such_files_has_no_neighbours(tmp_path: Path) -> None:
    watch = Watch(tmp_path / "none")
    watch.start()
    assert watch.neighbours() == []
    assert program_name(1, tmp_path / "none") == "process 1"


class Refused(Exception): ...


def fake_driver(*, energy: bool = True) -> Any:
    """Answers as pynvml does."""

    def handle(uuid: str) -> str:
        if uuid != "GPU-abc":
            raise Refused("Not Found")
        return "handle"

    def millijoules(_handle: str) -> int:
        if not energy:
            raise Refused("Not Supported")
        return 5_000

    def graphics(_handle: str) -> list[Any]:
        raise Refused("Not Supported")

    return SimpleNamespace(
        NVMLError=Refused,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=handle,
        nvmlDeviceGetTotalEnergyConsumption=millijoules,
        nvmlDeviceGetComputeRunningProcesses=lambda _: [
            SimpleNamespace(pid=os.getpid()),
            SimpleNamespace(pid=NOBODY),
        ],
        nvmlDeviceGetGraphicsRunningProcesses=graphics,
    )


def test_energy_and_neighbours_come_from_the_driver() -> None:
    nvml, missing = open_nvml("abc", fake_driver())
    assert nvml is not None
    assert missing == ""
    assert nvml.joules() == 5.0
    assert nvml.neighbours() == [Neighbour(f"process {NOBODY}", None)]


def test_a_driver_that_cannot_answer_says_so() -> None:
    nvml, missing = open_nvml("GPU-other", fake_driver())
    assert nvml is None
    assert missing == "NVML does not answer: Not Found"
    silent, _ = open_nvml("abc", fake_driver(energy=False))
    assert silent is not None
    assert silent.joules() is None


def test_without_a_gpu_there_is_nothing_to_ask() -> None:
    pytest.importorskip("pynvml")
    if Path("/dev/nvidiactl").exists():
        pytest.skip("there is a GPU")
    nvml, missing = open_nvml("abc")
    assert nvml is None
    assert missing.startswith("NVML does not answer")
