"""The command line: `bench run | doctor | latency | report | reproduce | compare | claims | ablate | ...`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from bench.cli_parser import Parser
from bench.commands import (
    claims,
    compare,
    doctor,
    health,
    latency,
    listing,
    panel,
    report,
    reproduce,
    run,
    studies,
    train,
)
from bench.errors import FewstepError

EPILOG = """\
examples:
  python -m bench run --methods add,lcm --steps 1,4
  python -m bench list
  python -m bench report --results runs/shapes --out my-report
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; errors meant for users become one line on stderr."""
    try:
        args = build_parser().parse_args(argv)
        return int(args.main(args))
    except FewstepError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of stdout has gone, as in `bench list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def build_parser() -> Parser:
    """The parser of all commands."""
    parser = Parser(
        prog="bench",
        description="A benchmark for few-step text-to-image methods.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    for module in (run, doctor, latency, report, reproduce, compare, claims, studies, health, panel, train, listing):
        module.add_parser(commands)
    return parser
