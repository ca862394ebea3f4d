"""`bench health`: do the metrics order real images that were damaged in known ways?"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli_parser import Subparsers, add_command
from bench.lock import FolderLock
from bench.plan import RunRequest, make_plan
from bench.record import Record
from bench.storage import storing

if TYPE_CHECKING:
    from bench.health import Finding

LIMIT = 500

EPILOG = """\
Real images of a suite's prompts are measured as if methods had made them: as they are, blurred, through JPEG, as noise,
each ten times, under each other's prompts, one image for all. Exit status 1 where a metric does not order them.

examples:
  bench health
  bench health --coco FOLDER --metric-weights judges --limit 2000
"""


def add_parser(commands: Subparsers) -> None:
    """Add `health` to the command line."""
    parser = add_command(commands, "health", "check that metrics order images damaged in known ways", EPILOG)
    add = parser.add_argument
    add("--suite", metavar="NAME", help="a suite with real images (default: shapes)")
    add("--coco", type=Path, metavar="DIR", help="suite coco2017-5k: a folder with val2017/ and annotations/")
    add("--metrics", metavar="A,B", help="names from `bench list metrics` (default: the suite's own)")
    add("--metric-weights", action="append", default=[], metavar="NAME=PATH", help="as for `bench run`")
    add("--limit", type=int, default=LIMIT, metavar="N", help=f"images a control (default: {LIMIT})")
    add("--device", default="auto", metavar="NAME", help="auto, cpu or cuda (default: auto)")
    add("--out", type=Path, metavar="DIR", help="new, empty, or written by the benchmark (default: runs/health-SUITE)")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Measure the controls, print values and what is wrong."""
    suite = args.suite or ("coco2017-5k" if args.coco else "shapes")
    plan = make_plan(
        RunRequest(
            methods="sdxl",
            steps="1",
            suite=args.suite,
            data={} if args.coco is None else {"--coco": args.coco},
            out=args.out or Path("runs") / f"health-{suite}",
            limit=args.limit,
            device=args.device,
            metrics=args.metrics,
            metric_weights=args.metric_weights,
        )
    )
    from bench.health import HealthRequest, check

    registered, data = plan.source
    request = HealthRequest(
        registered, data, plan.metrics, plan.limit, plan.cells[0].device, plan.out, plan.metric_weights,
        asked=plan.metrics_asked,
    )  # fmt: skip
    with FolderLock(plan.out.root), storing(plan.out.root):
        records, found = check(request, _tell)
    _show(records, found, plan.metrics)
    return 1 if any(item.flagged for item in found) else 0


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")


def _show(records: Mapping[str, Record], found: Sequence[Finding], metrics: Sequence[str]) -> None:
    measured = [name for name in metrics if any(record.quantity(name) for record in records.values())]
    width = max(len(name) for name in records)
    sys.stdout.write("  ".join(["control".ljust(width), *(f"{name:>12}" for name in measured)]) + "\n")
    for control, record in records.items():
        values = [record.quantity(name) for name in measured]
        row = "  ".join(f"{value.value:12.4g}" if value else " " * 12 for value in values)
        sys.stdout.write(f"{control.ljust(width)}  {row}\n")
    sys.stdout.write("\n")
    for name in measured:
        wrong = [item.line for item in found if item.metric == name and item.flagged]
        for line in wrong or [f"{name} orders them"]:
            sys.stdout.write(f"{'FLAGGED ' if wrong else ''}{line}\n")
    left = {why: name for record in records.values() for name, why in record.provenance["left_out"].items()}
    for why, name in left.items():
        sys.stdout.write(f"{name} is left out: {why}\n")
