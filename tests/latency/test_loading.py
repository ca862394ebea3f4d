"""Methods on random weights: each has the scheduler settings of the checkpoint, and each recipe what it needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import architectures
from bench.latency.loading import Loader
from bench.latency.plan import LatencyRequest, make_latency_plan
from methods.registry import METHODS
from tests.latency import tiny


def loader(tmp_path: Path, methods: str, parts: dict[str, object], steps: str = "1") -> tuple[Loader, list[object]]:
    family = str(tiny.write(tmp_path, parts))
    request = LatencyRequest(
        methods, steps, family=family, weights=("random",), out=tmp_path / "out", device="cpu", height=64
    )
    plan = make_latency_plan(request)
    return Loader(plan), list(plan.cells)


def test_a_scheduler_leaves_nothing_to_the_next_method(tmp_path: Path) -> None:
    spaced = tiny.SCHEDULER | {"timestep_spacing": "leading"}
    load, (add, sdxl) = loader(tmp_path, "add,sdxl", tiny.SDXL | {"scheduler": spaced})
    first = load.load(add).method  # type: ignore[arg-type]
    assert first.pipe.scheduler.config.timestep_spacing == "trailing"  # type: ignore[attr-defined]
    second = load.load(sdxl).method  # type: ignore[arg-type]
    assert second.pipe is first.pipe  # type: ignore[attr-defined]  # built once
    assert second.pipe.scheduler.config.timestep_spacing == "leading"  # type: ignore[attr-defined]


@pytest.mark.parametrize("family", ["sd15", "sd21", "sdxl"])
def test_every_method_has_a_recipe_on_the_shipped_schedulers(tmp_path: Path, family: str) -> None:
    scheduler = architectures.load(family).parts["scheduler"]
    base = tiny.SDXL if family == "sdxl" else tiny.SD
    names = ",".join(METHODS.names())
    load, cells = loader(tmp_path, names, base | {"scheduler": scheduler}, steps="4")
    for cell in cells:
        loaded = load.load(cell)  # type: ignore[arg-type]
        (request,) = load.requests(cell)  # type: ignore[arg-type]
        assert (request.height, request.width, request.num_inference_steps) == (64, 64, 4)
        assert loaded.method.unsupported(request) is None, loaded.method.info.name
        assert loaded.weights.startswith("random, architecture ")
