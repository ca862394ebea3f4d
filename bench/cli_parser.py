"""argparse as this command line uses it: errors are ours, help keeps its lines."""

from __future__ import annotations

import argparse
from typing import NoReturn, TypeAlias

from bench.errors import UsageError


class Parser(argparse.ArgumentParser):
    """A parser whose errors are `UsageError`s of one line that name the help to read."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (`{self.prog} -h` explains)")


Subparsers: TypeAlias = "argparse._SubParsersAction[Parser]"


def add_command(commands: Subparsers, name: str, summary: str, epilog: str) -> Parser:
    """A subcommand with worked examples under its options."""
    return commands.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
