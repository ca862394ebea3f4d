"""`bench train`: the embedded suite's networks, from nothing."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.cli_parser import Subparsers, add_command

EPILOG = """\
Each target resumes where it was stopped: give the same command again.

examples:
  bench train --list              what can be trained, in order, and what is there
  bench train                     everything, from nothing
  bench train lcm add             two students, on the teacher that is there
  bench train teacher --out try   a teacher of your own
"""


def add_parser(commands: Subparsers) -> None:
    """Add `train` to the command line."""
    parser = add_command(commands, "train", "train the embedded suite's judges, teacher and students", EPILOG)
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help="what to train (default: everything, in order, packed for use)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="where checkpoints are trained (default: runs/train)")
    parser.add_argument("--list", action="store_true", help="show the targets and stop")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of torch, at least 1 (default: all cores)")
    parser.add_argument(
        "--processes", type=int, default=1, metavar="N",
        help="train teacher and students in N processes that share every batch (default: 1); on a\n"
        "CPU one process a core is faster than one with as many threads",
    )  # fmt: skip
    parser.add_argument("--no-limit", action="store_true", help="pack all students, however large the zoo becomes")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Hand over to the suite's training command."""
    sys.stderr.write("loading torch …\n")
    sys.stderr.flush()
    from bench.suites.shapes.training import command

    return int(command.main(args))
