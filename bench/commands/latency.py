"""`bench latency`: what sampling costs, stage by stage, without judging an image."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from bench.cli_parser import Subparsers, add_command
from bench.latency.modes import EAGER, SWITCHES
from bench.latency.plan import DEFAULT_SUITE, LatencyPlan, LatencyRequest, make_latency_plan
from bench.latency.resume import LatencyResume
from bench.lock import FolderLock
from bench.options import MAX_GUIDANCE, MAX_STEPS
from bench.plan import DEVICES, DTYPES, MAX_BATCH_SIZE
from bench.record import Cell, Record
from bench.signals import exit_status
from bench.storage import storing

EPILOG = """\
The same command again goes on where it was stopped, and does nothing where all is there. docs/latency.md says what
each number is. Exit status: 0 all cells timed, 1 a cell failed, 2 the request makes no sense, 130 stopped.

examples:
  bench latency --methods add,lcm --steps 1,2,4            the embedded suite
  bench latency --methods add --steps 1 --family sdxl --weights random --height 512 --repeats 3
                                                           SDXL at full size: nothing to download, 14 GB of memory
  bench latency --methods add,sdxl-euler --steps 1,4 --family sdxl --weights random --dtype float16 \\
                --mode eager,compile,graphs --repeats 100  a sweep on a GPU
  bench latency --methods lcm --steps 4 --batch-size 1,8   latency, and images a second in batches of 8
  bench latency --methods add --steps 1 --peer             against the bare stock pipeline, call by call in turn
"""


def add_parser(commands: Subparsers) -> None:
    """Add `latency` to the command line."""
    parser = add_command(commands, "latency", "time methods x steps x modes; print stages, leave records", EPILOG)
    add, default = parser.add_argument, LatencyRequest
    add("--methods", default="add,lcm", metavar="A,B", help="names from `bench list methods` (default: add,lcm)")
    add("--steps", default="1,4", metavar="N,N", help=f"step counts, 1 to {MAX_STEPS} (default: 1,4)")
    add("--suite", metavar="NAME", help=f"time the checkpoints of this suite (default: {DEFAULT_SUITE})")
    add("--family", metavar="NAME", help="sd15, sd21, sdxl, or a .json file like those: for --weights random")
    add("--weights", action="append", default=[], metavar="random|METHOD=DIR",
        help="random: the family at full size with random weights; or METHOD from this pipeline folder")  # fmt: skip
    add("--height", type=int, metavar="N", help="pixels, a multiple of 8 (default: --width, or the checkpoint's own)")
    add("--width", type=int, metavar="N", help="the same (default: --height, or the checkpoint's own)")
    add("--mode", default=EAGER, metavar="A,B",
        help=f"{EAGER}, or {', '.join(SWITCHES)}, several joined by + (default: {EAGER})")  # fmt: skip
    add("--batch-size", default=default.batch_size, metavar="N,N",
        help=f"images a call, 1 to {MAX_BATCH_SIZE}; more than 1 is the throughput mode (default: 1)")  # fmt: skip
    add("--device", default="auto", metavar="NAME", help=f"{', '.join(DEVICES)} (default: auto, a GPU if any)")
    add("--dtype", default=default.dtype, metavar="NAME", help=f"{', '.join(DTYPES)} (default: {default.dtype})")
    add("--guidance-scale", type=float, metavar="X", help=f"1 (none) to {MAX_GUIDANCE:g} (default: the method's own)")
    add("--warm-up", type=int, default=default.warm_up, metavar="N",
        help=f"calls that do not count (default: {default.warm_up})")  # fmt: skip
    add("--repeats", type=int, default=default.repeats, metavar="N",
        help=f"timed calls; p99 takes 500 (default: {default.repeats})")  # fmt: skip
    add("--peer", action="store_true", help="time the bare stock pipeline too, in turn with the method")
    add("--out", type=Path, metavar="DIR", help="new, empty, or written by this command (default: runs/latency)")
    add("--force", action="store_true", help="time again what is there already")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Plan, time what is missing, show the table."""
    names = ("methods", "steps", "suite", "family", "weights", "out", "device", "dtype", "batch_size", "height",
             "width", "mode", "guidance_scale", "warm_up", "repeats", "peer", "force")  # fmt: skip
    plan = make_latency_plan(LatencyRequest(**{name: getattr(args, name) for name in names}))
    resume = LatencyResume(plan)
    pending = resume.pending
    try:
        records = _ordered(plan, {**resume.done, **_time(plan, resume)}) if pending else resume.done
    except KeyboardInterrupt as stop:
        _tell("\nstopped; the same command goes on from here")
        return exit_status(stop)
    if not pending:
        sys.stdout.write(f"nothing to do: {len(records)} of {len(plan.cells)} cells are there\n\n")
    _show(plan, records)
    return 1 if any(record.status == "failed" for record in records.values()) else 0


def _time(plan: LatencyPlan, resume: LatencyResume) -> Mapping[Cell, Record]:
    _tell("loading torch …")
    from bench.latency import sweep

    with FolderLock(plan.out.root), storing(plan.out.root):
        return sweep.run(plan, resume, _tell)


def _ordered(plan: LatencyPlan, records: Mapping[Cell, Record]) -> dict[Cell, Record]:
    return {cell: records[cell] for cell in plan.cells if cell in records}


def _show(plan: LatencyPlan, records: Mapping[Cell, Record]) -> None:
    from bench.latency.table import show

    show(records, sys.stdout)
    sys.stdout.write(f"  records in {plan.out.records}\n")


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
