"""The command line: one module of `bench.commands` a command; `python -m bench --help` lists them."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable, Sequence

from bench.cli_parser import Parser
from bench.commands import (
    baseline,
    claims,
    compare,
    doctor,
    fetch,
    gate,
    health,
    latency,
    listing,
    panel,
    report,
    reproduce,
    run,
    studies,
    train,
    verify,
)
from bench.errors import FewstepError
from bench.signals import exit_status, termination_stops
from bench.storage import disk_error
from bench.text import one_line

COMMANDS = (
    run,
    verify,
    fetch,
    doctor,
    latency,
    report,
    reproduce,
    compare,
    claims,
    studies,
    baseline,
    gate,
    health,
    panel,
    train,
    listing,
)
"""In the order of `--help`."""

EPILOG = """\
examples:
  python -m bench run --methods add,lcm --steps 1,4
  python -m bench list
  python -m bench report --results runs/shapes --out my-report
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; errors meant for users become one line on stderr."""

    def command() -> int:
        args = build_parser().parse_args(argv)
        return int(args.main(args))

    return shown(command)


def shown(command: Callable[[], int]) -> int:
    """The exit status of `command`; what it raises for users is shown in one line on stderr."""
    try:
        with termination_stops():
            return command()
    except FewstepError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as stop:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return exit_status(stop)
    except BrokenPipeError:  # the reader of stdout has gone, as in `bench list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a disk that is full, a path that is too long, a file that is gone
        print(f"error: {one_line(disk_error(error))}", file=sys.stderr)
        return 2 if error.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR) else 1


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
    for module in COMMANDS:
        module.add_parser(commands)
    return parser
