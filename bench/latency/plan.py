"""From what was asked to the cells to time. Everything is validated here, before any work and without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import architectures, options, registry
from bench.architectures import Architecture
from bench.errors import UsageError
from bench.folder import OutFolder
from bench.latency.modes import EAGER, Mode, parse_mode
from bench.plan import DEVICES, DTYPES, MAX_BATCH_SIZE, resolve_device
from bench.record import Cell
from bench.suites.info import SuiteInfo
from methods.names import NameTable

RANDOM = "random"
DEFAULT_SUITE = "shapes"
FOLDER = "latency"
"""What the marker of an out folder of this command says."""
PROMPTS = 16
"""Prompts of a suite that timing goes round, at batch 1."""
MAX_CALLS = 100_000
MAX_SIDE = 8192
SIZE_MULTIPLE = 8


@dataclass(frozen=True)
class LatencyRequest:
    """What the command line says, unparsed where parsing can fail with a message of ours."""

    methods: str
    steps: str
    suite: str | None = None
    family: str | None = None
    weights: Sequence[str] = ()
    out: Path | None = None
    device: str = "auto"
    dtype: str = "float32"
    batch_size: str = "1"
    height: int | None = None
    width: int | None = None
    mode: str = EAGER
    guidance_scale: float | None = None
    warm_up: int = 3
    repeats: int = 20
    peer: bool = False
    force: bool = False


@dataclass(frozen=True)
class LatencyPlan:
    """The cells to time, in the order asked for, and the protocol that they share.

    `architecture` is what random weights are made for; None where the checkpoints of `suite`, or the folders of
    `weights`, are timed.
    """

    cells: tuple[Cell, ...]
    out: OutFolder
    warm_up: int
    repeats: int
    peer: bool = False
    force: bool = False
    suite: SuiteInfo | None = None
    architecture: Architecture | None = None
    weights: Mapping[str, Path] = field(default_factory=dict)

    @property
    def protocol(self) -> dict[str, int | bool]:
        """How often each cell is called; a record made under another one is made again."""
        return {"warm_up": self.warm_up, "repeats": self.repeats, "peer": self.peer}

    def command(self, cell: Cell) -> str:
        """The command line that makes `cell` again; folders of the user are left out of records."""
        parts = [f"python -m bench latency --methods {cell.method} --steps {cell.num_inference_steps}"]
        if self.architecture is not None:
            registered = self.architecture.name in architectures.names()
            parts.append(f"--family {self.architecture.name}{'' if registered else '.json'} --weights {RANDOM}")
        else:
            parts.append(f"--suite {cell.suite}")
        if cell.method in self.weights:
            parts.append(f"--weights {cell.method}=FOLDER")
        if cell.height is not None:
            parts.append(f"--height {cell.height} --width {cell.width}")
        if cell.guidance_scale is not None:
            parts.append(f"--guidance-scale {cell.guidance_scale:g}")
        parts.append(f"--mode {cell.mode} --device {cell.device} --dtype {cell.dtype} --batch-size {cell.batch_size}")
        parts.append(f"--warm-up {self.warm_up} --repeats {self.repeats}" + (" --peer" if self.peer else ""))
        return " ".join(parts)


def make_latency_plan(request: LatencyRequest, known: NameTable | None = None) -> LatencyPlan:
    """Validate `request` and lay out its cells. Nothing is written and no network is built.

    `known` are the methods there are; all registered ones where None.

    Raises:
        UsageError: for the first thing that makes no sense.
    """
    folders = _folders(request)
    methods = options.names("--methods", request.methods, _methods() if known is None else known)
    steps = options.steps(request.steps)
    guidance_scale = options.guidance_scale(request.guidance_scale)
    options.choice("--device", request.device, DEVICES)
    options.choice("--dtype", request.dtype, DTYPES)
    options.between("--warm-up", request.warm_up, 0, MAX_CALLS)
    options.between("--repeats", request.repeats, 1, MAX_CALLS)
    modes = [parse_mode(item) for item in options.split("--mode", request.mode)]
    batches = _batch_sizes(request.batch_size)
    height, width = _size(request)
    architecture = None if request.family is None else architectures.load(request.family)
    asked = request.suite or DEFAULT_SUITE
    suite = None if architecture is not None else registry.suite_info(asked)
    weights = options.folders(folders, methods)
    out = OutFolder(request.out if request.out is not None else Path("runs") / FOLDER, FOLDER)
    out.check()
    device = resolve_device(request.device)
    _check_modes(modes, device)
    name = f"{architecture.name}-{RANDOM}" if architecture is not None else asked
    cells = tuple(
        Cell(
            suite=name,
            method=method,
            num_inference_steps=count,
            guidance_scale=guidance_scale,
            seed=0,
            limit=_prompts(batch, suite),
            device=device,
            dtype=request.dtype,
            batch_size=batch,
            height=height,
            width=width,
            mode=mode.name,
        )
        for method in methods  # outermost: networks are built once a method
        for mode in modes
        for batch in batches
        for count in steps
    )
    return LatencyPlan(
        cells, out, request.warm_up, request.repeats, request.peer, request.force, suite, architecture, weights
    )


def _methods() -> NameTable:
    from methods.registry import METHODS  # by name only: the table imports no method

    return METHODS


def _folders(request: LatencyRequest) -> list[str]:
    """What METHOD=FOLDER was given for weights; none where they are random.

    Raises:
        UsageError: where family, suite and weights contradict each other.
    """
    folders = [item for item in request.weights if item != RANDOM]
    random = len(folders) < len(request.weights)
    if random and folders:
        raise UsageError(f"--weights {RANDOM} and --weights {folders[0]} contradict each other; give one of them")
    if random and request.family is None:
        raise UsageError(f"--weights {RANDOM} needs --family: one of {', '.join(architectures.names())}")
    if request.family is not None and not random:
        raise UsageError(f"--family {request.family} needs --weights {RANDOM}; give weights you have as METHOD=FOLDER")
    if random and request.suite is not None:
        raise UsageError(f"--suite {request.suite} and --weights {RANDOM} contradict each other; leave one out")
    return folders


def _size(request: LatencyRequest) -> tuple[int | None, int | None]:
    """Height and width; where one is given it is both."""
    sides = [side for side in (request.height, request.width) if side is not None]
    for option, side in (("--height", request.height), ("--width", request.width)):
        if side is not None and (not SIZE_MULTIPLE <= side <= MAX_SIDE or side % SIZE_MULTIPLE):
            raise UsageError(f"{option} {side} is not possible; use a multiple of {SIZE_MULTIPLE} up to {MAX_SIDE}")
    return (sides[0], sides[-1]) if sides else (None, None)


def _batch_sizes(text: str) -> list[int]:
    sizes = []
    for item in options.split("--batch-size", text):
        if not item.isascii() or not item.isdigit() or not 1 <= int(item) <= MAX_BATCH_SIZE:
            raise UsageError(f"--batch-size {item!r} is not possible; use whole numbers from 1 to {MAX_BATCH_SIZE}")
        sizes.append(int(item))
    return sizes


def _prompts(batch: int, suite: SuiteInfo | None) -> int:
    """Prompts of a cell: whole batches of them."""
    if suite is None:
        return batch
    if batch > suite.prompts:
        raise UsageError(f"--batch-size {batch} is more than the {suite.prompts} prompts of suite {suite.name!r}")
    return batch * max(1, min(PROMPTS, suite.prompts) // batch)


def _check_modes(modes: Sequence[Mode], device: str) -> None:
    names = [mode.name for mode in modes]
    if repeated := [name for index, name in enumerate(names) if name in names[:index]]:
        raise UsageError(f"--mode names {repeated[0]!r} twice; name it once")
    if device != "cuda" and any(mode.graphs for mode in modes):
        raise UsageError("--mode graphs needs a CUDA device; leave it out on a CPU")
