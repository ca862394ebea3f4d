"""`bench report`: tables, figures and index.html from stored records."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.cli_parser import Subparsers, add_command

EPILOG = """\
examples:
  bench report                                     reports/results -> reports
  bench report --results runs/shapes --out mine    a run of your own
  bench report --check                             is what is stored what the records give? exit 1 if a byte differs
"""


def add_parser(commands: Subparsers) -> None:
    """Add `report` to the command line."""
    parser = add_command(commands, "report", "write tables, figures and index.html from the records of a run", EPILOG)
    parser.add_argument(
        "--results", type=Path, default=Path("reports/results"), metavar="DIR",
        help="a folder that `bench run --out` wrote (default: reports/results)",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, default=Path("reports"), metavar="DIR", help="where to write the report (default: reports)"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; compare with what is in --out, exit 1 if a byte differs"
    )
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Build or check the report."""
    from bench.latency.report import latency_report
    from bench.report.build import build

    return build(args.results, args.out, args.check, latency_report(args.results, args.out))
