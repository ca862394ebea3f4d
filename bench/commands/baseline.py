"""`bench baseline`: store records that later gates compare with."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.cli_parser import Subparsers, add_command
from bench.commands.gating import add_settings, emptied, settings_of, settings_of_records, tell

EPILOG = """\
The file holds records with their raw samples, the recipe, the machine and the commit; docs/gate.md says what a gate
makes of it. Exit status: 0 stored, 1 a cell failed, 2 the request makes no sense.

examples:
  bench baseline --methods add,lcm --steps 1,4 --out baseline.json
  bench baseline --results runs/shapes --out baseline.json      from a run that is there already
"""


def add_parser(commands: Subparsers) -> None:
    """Add `baseline` to the command line."""
    parser = add_command(commands, "baseline", "store a baseline: records, raw samples, machine and recipe", EPILOG)
    add_settings(parser)
    parser.add_argument("--results", type=Path, metavar="DIR", help="take the records of this run; nothing is measured")
    parser.add_argument(
        "--out", type=Path, default=Path("baseline.json"), metavar="FILE", help="(default: baseline.json)"
    )
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Measure, unless that was done; write the file."""
    from dataclasses import asdict

    from bench.gate.baseline import records_of, write_baseline
    from bench.gate.checkout import ROOT
    from bench.gate.sides import Side

    if args.results is not None:
        records = records_of(args.results, "--results")
    else:
        folder = emptied(Path("runs") / "baseline")
        tell("measuring the baseline")
        records = tuple(Side("baseline", ROOT).run(settings_of(args), folder / "head", folder / "log.txt"))
    baseline = write_baseline(args.out, records, asdict(settings_of_records(records)))
    commit = f"commit {baseline.commit[:12]}" if baseline.commit else "no commit, as the checkout was changed"
    sys.stdout.write(f"{len(records)} cells of {commit} in {args.out}\n")
    return 0
