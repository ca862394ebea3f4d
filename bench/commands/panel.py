"""`bench panel`: the Frechet distance of stored images under the protocols that papers used."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli_parser import Subparsers, add_command
from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.panel import Panel

EPILOG = """\
One thing is changed at a time: codec, resize before the network, number of images, draw of the reference.

examples:
  bench panel runs/shapes/images/add-1-n1000-1a2b3c
  bench panel FOLDER --coco COCO --metric-weights inception=FILE --gap 0.9
"""


def add_parser(commands: Subparsers) -> None:
    """Add `panel` to the command line."""
    parser = add_command(commands, "panel", "one set of images under the protocols that papers used", EPILOG)
    add = parser.add_argument
    add("images", type=Path, metavar="FOLDER", help="PNG images, as in the images/ of a run")
    add("--suite", metavar="NAME", help="the suite of the reference images (default: shapes)")
    add("--coco", type=Path, metavar="DIR", help="suite coco2017-5k: a folder with val2017/ and annotations/")
    add("--metric-weights", action="append", default=[], metavar="NAME=PATH", help="inception=FILE for FID proper")
    add("--gap", type=float, metavar="X", help="a gap between two methods that is claimed, to compare the spread with")
    add("--device", default="auto", metavar="NAME", help="auto, cpu or cuda (default: auto)")
    add("--cache", type=Path, metavar="DIR", help="keep features of the reference here")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Print the panel."""
    from bench.metrics.weights import parse_metric_weights
    from bench.plan import DEVICES, RunRequest, resolve_device, suite_source

    if args.device not in DEVICES:
        raise UsageError(f"--device {args.device!r} is not one of {', '.join(DEVICES)}")
    if args.gap is not None and not args.gap > 0:
        raise UsageError(f"--gap {args.gap:g} is not a gap; give a number above 0")
    data = {} if args.coco is None else {"--coco": args.coco}
    suite = suite_source(RunRequest(methods="", steps="", suite=args.suite, data=data))
    if not args.images.is_dir():
        raise UsageError(f"there is no folder {args.images}")
    weights = parse_metric_weights(args.metric_weights)
    from bench.panel import panel_of_folder

    found = panel_of_folder(args.images, suite, weights, resolve_device(args.device), args.cache)
    sys.stdout.write(text(found, args.gap))
    return 0


def text(panel: Panel, gap: float | None) -> str:
    """The table, and the spread beside the gap."""
    usual = panel.rows[0].value
    width = max(len(row.resize) for row in panel.rows)
    lines = [
        f"{'changed':<10} {'codec':<8} {'resize':<{width}} {'n':>6} {'reference':<12} {'distance':>9} {'change':>8}"
    ]
    for row in panel.rows:
        change = f"{row.value - usual:+8.3f}" if row.changed else " " * 8
        lines.append(
            f"{row.changed or '–':<10} {row.codec:<8} {row.resize:<{width}} {row.n:>6} {row.reference:<12} "
            f"{row.value:>9.3f} {change}"
        )
    lines.append("")
    lines.append(f"spread at n = {panel.images:,}: {panel.spread_at_n:.3f}; over all rows: {panel.spread:.3f}")
    if gap is not None:
        ratio = panel.spread_at_n / gap
        verdict = "the protocol alone can make it" if ratio >= 1 else "larger than what the protocol makes"
        lines.append(f"gap claimed: {gap:g}; the spread at this n is {ratio:.2f} times it: {verdict}")
    return "\n".join(lines) + "\n"
