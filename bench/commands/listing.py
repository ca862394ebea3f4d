"""`bench list`: the names there are. Imports no torch."""

from __future__ import annotations

import argparse
import json
import sys

from bench import registry
from bench.cli_parser import Subparsers, add_command
from methods.names import Entry, NameTable

KINDS = ("methods", "metrics", "suites")

EPILOG = """\
examples:
  bench list                   everything
  bench list methods           what --methods takes
  bench list metrics --json    for a script
"""


def add_parser(commands: Subparsers) -> None:
    """Add `list` to the command line."""
    parser = add_command(commands, "list", "show the methods, metrics and suites there are", EPILOG)
    parser.add_argument("kind", nargs="?", choices=KINDS, help="methods, metrics or suites (default: all three)")
    parser.add_argument("--json", action="store_true", help="JSON: {kind: [{name, summary, source, problem if any}]}")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Print the tables asked for."""
    kinds = KINDS if args.kind is None else (args.kind,)
    tables = {kind: _table(kind) for kind in kinds}
    if args.json:
        listed = {kind: [_as_json(table, name) for name in table.names()] for kind, table in tables.items()}
        sys.stdout.write(json.dumps(listed, indent=1) + "\n")
        return 0
    width = max(len(name) for table in tables.values() for name in table.names())
    for kind, table in tables.items():
        if len(tables) > 1:
            sys.stdout.write(f"{kind}\n")
        for name in table.names():
            sys.stdout.write(f"  {name:<{width}}  {_line(table.entry(name))}\n")
    for kind, table in tables.items():
        for name in table.names():
            if problem := table.entry(name).problem:
                sys.stderr.write(f"broken: {kind[:-1]} {name!r} {problem}\n")
    return 0


def _line(entry: Entry) -> str:
    """The summary, and for a plugin the package that it comes from."""
    origin = f"  [{entry.source}]" if entry.source else ""
    return f"{entry.summary}{origin}{'  (broken)' if entry.problem else ''}"


def _table(kind: str) -> NameTable:
    if kind == "metrics":
        return registry.METRICS
    if kind == "suites":
        return registry.SUITES
    from methods.registry import METHODS

    return METHODS


def _as_json(table: NameTable, name: str) -> dict[str, str]:
    entry = table.entry(name)
    listed = {"name": name, "summary": entry.summary, "source": entry.source or "fewstep-bench"}
    return listed if entry.problem is None else {**listed, "problem": entry.problem}
