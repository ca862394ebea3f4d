"""From what was asked to the cells to measure. Everything is validated here, before any work and without torch."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import options, registry
from bench.errors import UsageError, WeightsError
from bench.folder import OutFolder
from bench.following import follow_recipes
from bench.metrics.weights import parse_metric_weights
from bench.record import Cell
from bench.suites.info import SuiteInfo
from methods.hub.memory import OFFLOADS
from methods.hub.resolve import resolve
from methods.names import NameTable

MAX_SEED = 2**31 - 1
MAX_BATCH_SIZE = 1024
MAX_IMAGES_PER_PROMPT = 32
MAX_JOBS = 64
DEVICES = ("auto", "cpu", "cuda")
DTYPES = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class RunRequest:
    """What the command line says, unparsed where parsing can fail with a message of ours."""

    methods: str
    steps: str
    suite: str | None = None  # shapes, or the suite that `data` is of
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
    images_per_prompt: int = 1
    metric_weights: Sequence[str] = ()
    data: Mapping[str, Path] = field(default_factory=dict)  # option -> file or folder, as in {"--prompts": ...}
    family: str | None = None
    allow_off_recipe: bool = False
    offload: str = "none"
    slicing: bool = False


@dataclass(frozen=True)
class Plan:
    """The cells to measure, methods x steps, in the order asked for, all under one protocol.

    `metrics_asked` says that the metrics were named by the user, so that one which cannot be had is an error; `weights`
    maps a method to the folder, or the single file, that replaces the suite's checkpoint, and `hub_ids` to its name
    where that is one on the hub; `metric_weights` maps a judge to its folder (None: the hub). `data` is the user's file
    or folder that the suite registered as `registered` is made of. `offload` and `slicing` save memory and cost time
    (`methods.loading`).
    """

    suite: SuiteInfo
    cells: tuple[Cell, ...]
    metrics: tuple[str, ...]
    out: OutFolder
    force: bool = False
    weights: Mapping[str, Path] = field(default_factory=dict)
    metrics_asked: bool = False
    metric_weights: Mapping[str, Path | None] = field(default_factory=dict)
    registered: str | None = None
    data: Path | None = None
    allow_off_recipe: bool = False
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
        """Prompts a cell."""
        return self.cells[0].limit

    @property
    def images(self) -> int:
        """Images a cell."""
        return self.limit * self.cells[0].images_per_prompt

    @property
    def source(self) -> tuple[str, Path | None]:
        """What `registry.make_suite` makes the suite of."""
        return self.registered or self.suite.name, self.data

    def command(self, cell: Cell) -> str:
        """The command line that makes `cell` again; folders of the user are left out of records."""
        parts = [
            f"python -m bench run --methods {cell.method} --steps {cell.num_inference_steps} {self._suite_option}",
            f"--limit {cell.limit} --device {cell.device} --dtype {cell.dtype} --batch-size {cell.batch_size}",
            f"--seed {cell.seed} --metrics {','.join(self.metrics)}",
        ]
        if cell.images_per_prompt > 1:
            parts.append(f"--images-per-prompt {cell.images_per_prompt}")
        if cell.guidance_scale is not None:
            parts.append(f"--guidance-scale {cell.guidance_scale:g}")
        if cell.family is not None:
            parts.append(f"--family {cell.family}")
        if cell.off_recipe:
            parts.append("--allow-off-recipe")
        if cell.method in self.weights:
            parts.append(f"--weights {cell.method}={self.hub_ids.get(cell.method, 'FOLDER')}")
        parts += [f"--metric-weights {name}={'hub' if path is None else 'FOLDER'}" for name, path in self._judges]
        if self.offload != "none":
            parts.append(f"--offload {self.offload}")
        if self.slicing:
            parts.append("--slicing")
        return " ".join(parts)

    @property
    def _judges(self) -> list[tuple[str, Path | None]]:
        return sorted(self.metric_weights.items())

    @property
    def _suite_option(self) -> str:
        if self.data is None:
            return f"--suite {self.suite.name}"
        return f"{registry.SUITE_DATA[self.source[0]]} {'FOLDER' if self.data.is_dir() else 'FILE'}"


def make_plan(request: RunRequest, known: NameTable | None = None) -> Plan:
    """Validate `request` and lay out its cells. Nothing is written and no network is loaded.

    `known` are the methods there are; all registered ones where None.

    Raises:
        UsageError: for the first thing that makes no sense.
    """
    methods = options.names("--methods", request.methods, _methods() if known is None else known)
    steps = options.steps(request.steps)
    registered, data = suite_source(request)
    metrics = None if request.metrics is None else options.names("--metrics", request.metrics, registry.METRICS)
    guidance_scale = options.guidance_scale(request.guidance_scale)
    options.between("--seed", request.seed, 0, MAX_SEED)
    options.between("--batch-size", request.batch_size, 1, MAX_BATCH_SIZE)
    options.choice("--device", request.device, DEVICES)
    options.choice("--dtype", request.dtype, DTYPES)
    options.between("--images-per-prompt", request.images_per_prompt, 1, MAX_IMAGES_PER_PROMPT)
    options.choice("--offload", request.offload, OFFLOADS)
    judges = parse_metric_weights(request.metric_weights)
    suite = registry.suite_info(registered, data)
    limit = _limit(request.limit, suite)
    named = options.named_weights(request.weights, methods)
    weights = found_weights(named)
    out = OutFolder(request.out if request.out is not None else Path("runs") / suite.name, suite.name)
    out.check()
    device = resolve_device(request.device)
    if request.offload != "none" and device == "cpu":
        raise UsageError(f"--offload {request.offload} needs a GPU; leave it out on a CPU")
    cells = tuple(
        Cell(
            suite.name,
            method,
            count,
            guidance_scale,
            request.seed,
            limit,
            device,
            request.dtype,
            request.batch_size,
            request.images_per_prompt,
        )
        for method in methods
        for count in steps
    )
    cells = follow_recipes(cells, suite, request.family, weights, allow=request.allow_off_recipe)
    return Plan(
        suite,
        cells,
        metrics or suite.metrics,
        out,
        request.force,
        weights,
        metrics_asked=metrics is not None,
        metric_weights=judges,
        registered=registered,
        data=data,
        allow_off_recipe=request.allow_off_recipe,
        hub_ids={method: text for method, text in named.items() if not Path(text).expanduser().exists()},
        offload=request.offload,
        slicing=request.slicing,
    )


def suite_source(request: RunRequest) -> tuple[str, Path | None]:
    """The registered name of the suite asked for, and the user's data that it is made of.

    Raises:
        UsageError: for an unknown suite, or data that does not go with it.
    """
    if len(request.data) > 1:
        raise UsageError(f"{' and '.join(sorted(request.data))} give two suites; give one")
    suites = {option: name for name, option in registry.SUITE_DATA.items()}
    for option, path in request.data.items():
        if request.suite not in (None, suites[option]):
            raise UsageError(f"{option} gives suite {suites[option]!r}, not {request.suite!r}; leave --suite out")
        if not path.exists():
            raise UsageError(f"{option}: there is nothing at {path}")
        return suites[option], path
    name = request.suite or "shapes"
    registry.SUITES.entry(name)
    if name in registry.SUITE_DATA:
        raise UsageError(f"suite {name!r} is made of your files; name them with {registry.SUITE_DATA[name]} PATH")
    return name, None


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


def _limit(limit: int | None, suite: SuiteInfo) -> int:
    if suite.prompts < 1:
        raise UsageError(f"suite {suite.name!r} has an empty prompt list; there is nothing to measure")
    if limit is None:
        return suite.default_limit
    if not 1 <= limit <= suite.prompts:
        raise UsageError(f"--limit {limit} is out of range; suite {suite.name!r} has 1 to {suite.prompts} prompts")
    return limit


def found_weights(named: Mapping[str, str]) -> dict[str, Path]:
    """Method -> the folder or the file on this disk that its weights' name stands for.

    Raises:
        UsageError: for the first that is not there, naming the command that fetches it.
    """
    return {method: _resolved(text, method) for method, text in named.items()}


def _resolved(text: str, method: str) -> Path:
    """The folder or file that `text` names.

    Raises:
        UsageError: where there is none.
    """
    try:
        return resolve(text)
    except WeightsError as error:
        raise UsageError(f"--weights {method}={text}: {error}") from error
