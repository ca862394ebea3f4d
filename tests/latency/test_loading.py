"""Methods on random weights: each has the scheduler settings of the checkpoint, and each recipe what it needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import architectures
from bench.errors import UsageError
from bench.latency.loading import Loader
from bench.latency.plan import LatencyRequest, make_latency_plan
from methods.registry import METHODS, is_released
from methods.weights import SDXL
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


def buildable(name: str) -> bool:
    """Whether random weights of an architecture make a method that takes 4 steps."""
    if is_released(name):
        return False
    cls = METHODS.load(name)
    low, high = cls.default_recipe.allowed_steps or (1, 1000)
    return bool(cls.family is SDXL and low <= 4 <= high)


@pytest.mark.parametrize("name", ["gan", "tcd"])
def test_what_has_no_such_architecture_is_refused(tmp_path: Path, name: str) -> None:
    load, (cell,) = loader(tmp_path, name, tiny.SDXL)
    with pytest.raises(UsageError, match=f"{name} .* cannot be built with random weights"):
        load.load(cell)  # type: ignore[arg-type]


@pytest.mark.parametrize("family", ["sd15", "sd21", "sdxl"])
def test_every_method_has_a_recipe_on_the_shipped_schedulers(tmp_path: Path, family: str) -> None:
    scheduler = architectures.load(family).parts["scheduler"]
    base = tiny.SDXL if family == "sdxl" else tiny.SD
    names = ",".join(name for name in METHODS.names() if buildable(name))
    load, cells = loader(tmp_path, names, base | {"scheduler": scheduler}, steps="4")
    for cell in cells:
        loaded = load.load(cell)  # type: ignore[arg-type]
        (request,) = load.requests(cell)  # type: ignore[arg-type]
        assert (request.height, request.width, request.num_inference_steps) == (64, 64, 4)
        assert loaded.method.unsupported(request) is None, loaded.method.info.name
        assert loaded.weights.startswith("random, architecture ")
