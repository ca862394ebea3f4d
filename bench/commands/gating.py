"""What `bench baseline` and `bench gate` share: options, settings, and a folder of their own to work in."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError
from bench.plan import DEVICES, DTYPES, RunRequest, make_plan

if TYPE_CHECKING:
    from bench.gate.sides import Settings
    from bench.record import Record

LIMIT = 600
"""Prompts a cell. With as many, what 5 % of broken images do to a distance is more than four of its standard errors."""

MARKER = "fewstep-gate.txt"
PARTS = ("base", "head", "logs", "noise", "work")


def add_settings(parser: argparse.ArgumentParser) -> None:
    """The options that say which cells are measured, and how."""
    add = parser.add_argument
    add("--methods", default="add,lcm", metavar="A,B", help="names from `bench list methods` (default: add,lcm)")
    add("--steps", default="1,4", metavar="N,N", help="step counts (default: 1,4)")
    add("--suite", default="shapes", metavar="NAME", help="a name from `bench list suites` (default: shapes)")
    add("--metrics", metavar="A,B", help="names from `bench list metrics` (default: the suite's own)")
    add("--limit", type=int, default=LIMIT, metavar="N", help=f"prompts a cell (default: {LIMIT})")
    add("--device", default="auto", metavar="NAME", help=f"{', '.join(DEVICES)} (default: auto, a GPU if any)")
    add("--dtype", default="float32", metavar="NAME", help=f"{', '.join(DTYPES)} (default: float32)")
    add("--batch-size", type=int, default=RunRequest.batch_size, metavar="N",
        help=f"images sampled at once (default: {RunRequest.batch_size})")  # fmt: skip
    add("--seed", type=int, default=0, metavar="N", help="image i has its own seed from it (default: 0)")


def settings_of(args: argparse.Namespace) -> Settings:
    """The settings that the options give.

    Raises:
        UsageError: for the first that makes no sense.
    """
    from bench.gate.sides import Settings

    request = RunRequest(
        methods=args.methods, steps=args.steps, suite=args.suite, limit=args.limit, device=args.device,
        dtype=args.dtype, batch_size=args.batch_size, seed=args.seed, metrics=args.metrics,
    )  # fmt: skip
    plan = make_plan(request)
    first = plan.cells[0]
    return Settings(
        methods=tuple(dict.fromkeys(cell.method for cell in plan.cells)),
        steps=tuple(dict.fromkeys(cell.num_inference_steps for cell in plan.cells)),
        suite=first.suite,
        limit=first.limit,
        device=first.device,
        dtype=first.dtype,
        batch_size=first.batch_size,
        seed=first.seed,
        metrics=plan.metrics if plan.metrics_asked else None,
    )


def settings_of_records(records: Sequence[Record]) -> Settings:
    """The settings of a run that would give these records again.

    Raises:
        UsageError: where no single run would.
    """
    from bench.gate.sides import Settings

    if not records:
        raise UsageError("there are no records")
    cells = [record.cell for record in records]
    shared = ("suite", "limit", "device", "dtype", "batch_size", "seed")
    for name in shared:
        if len({getattr(cell, name) for cell in cells}) > 1:
            raise UsageError(f"the records differ in {name}; a baseline is of one run")
    if any(cell.guidance_scale is not None or cell.family is not None for cell in cells):
        raise UsageError(
            "a gate samples each method with the suite's checkpoint and its own guidance; leave others out"
        )
    metrics = records[0].provenance.get("metrics")
    return Settings(
        methods=tuple(dict.fromkeys(cell.method for cell in cells)),
        steps=tuple(dict.fromkeys(cell.num_inference_steps for cell in cells)),
        metrics=tuple(metrics) if metrics else None,
        **{name: getattr(cells[0], name) for name in shared},
    )


def settings_of_json(data: Mapping[str, Any], option: str) -> Settings:
    """Settings as a baseline stores them, checked as the command line's are.

    Raises:
        UsageError: where they are none.
    """
    try:
        methods, steps = ",".join(data["methods"]), ",".join(str(count) for count in data["steps"])
        metrics = ",".join(data["metrics"]) if data["metrics"] else None
        names = ("suite", "limit", "device", "dtype", "batch_size", "seed")
        args = argparse.Namespace(methods=methods, steps=steps, metrics=metrics, **{name: data[name] for name in names})
        return settings_of(args)
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{option}: its settings are damaged ({error}); make it again with `bench baseline`"
        ) from error


def emptied(folder: Path) -> Path:
    """`folder`, made if need be, without what an earlier gate left there: code has changed since.

    Raises:
        UsageError: where it holds files that no gate wrote, or cannot be written.
    """
    try:
        if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).is_file():
            raise UsageError(f"{folder} holds files that no gate wrote; name a new or empty folder with --out")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).write_text("written by `bench gate`; base, head, logs and work are emptied by the next one\n")
        for name in PARTS:
            shutil.rmtree(folder / name, ignore_errors=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written ({error.strerror}); name another folder with --out") from error
    return folder


def tell(line: str) -> None:
    """A line of progress, on stderr."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
