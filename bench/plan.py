"""From what was asked to the cells to measure. Everything is validated here, before any work and without torch."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import registry
from bench.errors import UsageError, WeightsError
from bench.folder import OutFolder
from bench.record import Cell
from bench.suites.info import SuiteInfo
from methods.hub.memory import OFFLOADS
from methods.hub.resolve import resolve
from methods.names import NameTable

MAX_STEPS = 1000
MAX_SEED = 2**31 - 1
MAX_BATCH_SIZE = 1024
MAX_GUIDANCE = 100.0
DEVICES = ("auto", "cpu", "cuda")
DTYPES = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class RunRequest:
    """What the command line says, unparsed where parsing can fail with a message of ours."""

    methods: str
    steps: str
    suite: str = "shapes"
    out: Path | None = None
    limit: int | None = None
    device: str = "auto"
    dtype: str = "float32"
    batch_size: int = 50
    seed: int = 0
    force: bool = False
    metrics: str | None = None
    guidance_scale: float | None = None
    weights: Sequence[str] = ()
    offload: str = "none"
    slicing: bool = False


@dataclass(frozen=True)
class Plan:
    """The cells to measure, methods x steps, in the order asked for, all under one protocol.

    `metrics_asked` says that the metrics were named by the user, so that one which cannot be had is an error; `weights`
    maps a method to the folder, or the single file, that replaces the suite's checkpoint, and `hub_ids` to its name
    where that is one on the hub. `offload` and `slicing` save memory and cost time (`methods.loading`).
    """

    suite: SuiteInfo
    cells: tuple[Cell, ...]
    metrics: tuple[str, ...]
    out: OutFolder
    force: bool = False
    weights: Mapping[str, Path] = field(default_factory=dict)
    metrics_asked: bool = False
    hub_ids: Mapping[str, str] = field(default_factory=dict)
    offload: str = "none"
    slicing: bool = False

    @property
    def loading(self) -> dict[str, Any]:
        """How weights are loaded, where that is not the ordinary way: it stands in records, as it costs time."""
        given = {"offload": self.offload, "slicing": self.slicing}
        return {name: value for name, value in given.items() if value not in ("none", False)}

    @property
    def limit(self) -> int:
        """Images a cell."""
        return self.cells[0].limit

    def command(self, cell: Cell) -> str:
        """The command line that makes `cell` again; folders of the user are left out of records."""
        parts = [
            f"python -m bench run --methods {cell.method} --steps {cell.num_inference_steps} --suite {cell.suite}",
            f"--limit {cell.limit} --device {cell.device} --dtype {cell.dtype} --batch-size {cell.batch_size}",
            f"--seed {cell.seed} --metrics {','.join(self.metrics)}",
        ]
        if cell.guidance_scale is not None:
            parts.append(f"--guidance-scale {cell.guidance_scale:g}")
        if cell.method in self.weights:
            parts.append(f"--weights {cell.method}={self.hub_ids.get(cell.method, 'FOLDER')}")
        if self.offload != "none":
            parts.append(f"--offload {self.offload}")
        if self.slicing:
            parts.append("--slicing")
        return " ".join(parts)


def make_plan(request: RunRequest, known: NameTable | None = None) -> Plan:
    """Validate `request` and lay out its cells. Nothing is written and no network is loaded.

    `known` are the methods there are; all registered ones where None.

    Raises:
        UsageError: for the first thing that makes no sense.
    """
    methods = _names("--methods", request.methods, _methods() if known is None else known)
    steps = _steps(request.steps)
    registry.SUITES.entry(request.suite)
    metrics = None if request.metrics is None else _names("--metrics", request.metrics, registry.METRICS)
    guidance_scale = _guidance_scale(request.guidance_scale)
    _between("--seed", request.seed, 0, MAX_SEED)
    _between("--batch-size", request.batch_size, 1, MAX_BATCH_SIZE)
    _choice("--device", request.device, DEVICES)
    _choice("--dtype", request.dtype, DTYPES)
    _choice("--offload", request.offload, OFFLOADS)
    suite = registry.suite_info(request.suite)
    limit = _limit(request.limit, suite)
    named = _named_weights(request.weights, methods)
    weights = {method: _resolved(text, method) for method, text in named.items()}
    out = OutFolder(request.out if request.out is not None else Path("runs") / suite.name, suite.name)
    out.check()
    device = resolve_device(request.device)
    if request.offload != "none" and device == "cpu":
        raise UsageError(f"--offload {request.offload} needs a GPU; leave it out on a CPU")
    cells = tuple(
        Cell(suite.name, method, count, guidance_scale, request.seed, limit, device, request.dtype, request.batch_size)
        for method in methods
        for count in steps
    )
    return Plan(
        suite,
        cells,
        metrics or suite.metrics,
        out,
        request.force,
        weights,
        metrics_asked=metrics is not None,
        hub_ids={method: text for method, text in named.items() if not Path(text).expanduser().exists()},
        offload=request.offload,
        slicing=request.slicing,
    )


def resolve_device(device: str) -> str:
    """ "cpu" or "cuda"; torch is asked (and imported) only where there may be a CUDA device at all.

    Raises:
        UsageError: for "cuda" where there is none.
    """
    if device != "cpu" and _has_cuda():
        return "cuda"
    if device == "cuda":
        raise UsageError("--device cuda: no CUDA device is visible to torch; use --device cpu, or auto")
    return "cpu"


def _methods() -> NameTable:
    from methods.registry import METHODS  # by name only: the table imports no method

    return METHODS


def _has_cuda() -> bool:
    maybe = sys.platform == "win32" or any(Path(node).exists() for node in ("/dev/nvidiactl", "/dev/dxg"))
    if not maybe:
        return False
    import torch

    return torch.cuda.is_available()


def _split(option: str, text: str) -> list[str]:
    items = [item.strip() for item in text.split(",")]
    if not any(items):
        raise UsageError(f"{option} is empty; give at least one value, or several with commas between")
    if not all(items):
        tidy = ",".join(item for item in items if item)
        raise UsageError(f"{option} {text!r} has an empty entry; write {tidy}")
    if repeated := [item for index, item in enumerate(items) if item in items[:index]]:
        raise UsageError(f"{option} names {repeated[0]!r} twice; name it once")
    return items


def _names(option: str, text: str, table: NameTable) -> tuple[str, ...]:
    names = tuple(_split(option, text))
    for name in names:
        table.entry(name)
    return names


def _steps(text: str) -> tuple[int, ...]:
    steps = []
    for item in _split("--steps", text):
        if not item.isascii() or not item.isdigit() or not 1 <= int(item) <= MAX_STEPS:
            raise UsageError(f"--steps {item!r} is not possible; use whole numbers from 1 to {MAX_STEPS}, as in 1,2,4")
        steps.append(int(item))
    if len(set(steps)) < len(steps):
        raise UsageError(f"--steps {text!r} names a step count twice; name it once")
    return tuple(steps)


def _guidance_scale(value: float | None) -> float | None:
    """`value` with both spellings of "none", 0.0 and 1.0, as 1.0; None stays the recipe's own."""
    if value is None:
        return None
    if value in (0.0, 1.0):
        return 1.0
    if not math.isfinite(value) or not 1.0 < value <= MAX_GUIDANCE:
        raise UsageError(f"--guidance-scale {value:g} is not possible; use 1 (none), or more, up to {MAX_GUIDANCE:g}")
    return value


def _between(option: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise UsageError(f"{option} {value} is out of range; use {low} to {high}")


def _choice(option: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise UsageError(f"{option} {value!r} is not one of {', '.join(choices)}")


def _limit(limit: int | None, suite: SuiteInfo) -> int:
    if suite.prompts < 1:
        raise UsageError(f"suite {suite.name!r} has an empty prompt list; there is nothing to measure")
    if limit is None:
        return suite.default_limit
    if not 1 <= limit <= suite.prompts:
        raise UsageError(f"--limit {limit} is out of range; suite {suite.name!r} has 1 to {suite.prompts} prompts")
    return limit


def _named_weights(items: Sequence[str], methods: Sequence[str]) -> dict[str, str]:
    named: dict[str, str] = {}
    for item in items:
        method, equals, text = item.partition("=")
        if not equals or not text:
            raise UsageError(f"--weights {item!r} is not METHOD=FOLDER, as in --weights lcm=students/lcm, nor a hub id")
        if method not in methods:
            raise UsageError(f"--weights {item!r}: {method!r} is not among --methods {','.join(methods)}")
        if method in named:
            raise UsageError(f"--weights names {method!r} twice; name it once")
        named[method] = text
    return named


def _resolved(text: str, method: str) -> Path:
    """The folder or file that `text` names.

    Raises:
        UsageError: where there is none.
    """
    try:
        return resolve(text)
    except WeightsError as error:
        raise UsageError(f"--weights {method}={text}: {error}") from error
