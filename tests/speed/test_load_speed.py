"""How long loading takes beside stock `from_pretrained`, and a LoRA on a base that is there beside loading both.

The limit that is meant for real pipelines is 1.1 times `from_pretrained`. What is added has a part a file (headers,
the record of hashes) and none a byte, so a small pipeline shows it at its largest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from pytest_benchmark.fixture import BenchmarkFixture

from methods.bases import Bases
from methods.hub import hashes
from methods.lcm import LCMLoRA
from methods.loading import Loading, loading
from methods.pipelines import load_pipeline, quiet_libraries
from methods.weights import write_manifest

CPU = torch.device("cpu")
ROUNDS = 8


@pytest.fixture
def settled(copy_of_tiny: Callable[[], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A pipeline folder with a manifest whose hashes are known, as at every load but the first."""
    monkeypatch.setenv("FEWSTEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hashes, "SETTLED_S", -1.0)
    monkeypatch.setattr(hashes, "WORTH_KEEPING", 0)
    folder = copy_of_tiny()
    write_manifest(folder)
    return folder


def stock(folder: Path) -> Any:
    with quiet_libraries():
        return StableDiffusionXLPipeline.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, local_files_only=True, add_watermarker=False
        )


def ours(folder: Path) -> Any:
    return load_pipeline(folder, device=CPU, dtype=torch.float32)


@pytest.mark.parametrize("load", [stock, ours], ids=["from_pretrained", "load_pipeline"])
@pytest.mark.benchmark(group="load")
def test_load(benchmark: BenchmarkFixture, load: Callable[[Path], Any], settled: Path) -> None:
    benchmark.pedantic(load, args=(settled,), rounds=ROUNDS, warmup_rounds=1)


@pytest.mark.benchmark(group="load")
def test_ratio_to_from_pretrained(benchmark: BenchmarkFixture, settled: Path) -> None:
    """In turns, so that a machine that slows down slows both; the median ratio is in the extra columns."""
    ratios = []

    def pair() -> None:
        start = time.perf_counter()
        stock(settled)
        between = time.perf_counter()
        ours(settled)
        ratios.append((time.perf_counter() - between) / (between - start))

    benchmark.pedantic(pair, rounds=ROUNDS, warmup_rounds=1)
    benchmark.extra_info["ratio"] = sorted(ratios)[len(ratios) // 2]


@pytest.mark.parametrize("shared", [False, True], ids=["base and LoRA", "LoRA on the base that is there"])
@pytest.mark.benchmark(group="LoRA")
def test_switching_loras(benchmark: BenchmarkFixture, tiny_lora_pipeline: Path, shared: bool) -> None:
    bases = Bases() if shared else None
    with loading(Loading(bases=bases)):
        benchmark.pedantic(
            LCMLoRA.load, args=(tiny_lora_pipeline,), kwargs={"device": CPU, "dtype": torch.float32}, rounds=6
        )
    assert bases is None or bases.loads == 1
