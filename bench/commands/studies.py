"""`bench ablate`, `bench bakeoff`, `bench budget`: the studies of the embedded suite, each one command that resumes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bench.claims.ablations import PANELS, TITLES
from bench.claims.contenders import CONTENDERS
from bench.cli_parser import Parser, Subparsers, add_command
from bench.errors import UsageError
from bench.folder import OutFolder

if TYPE_CHECKING:
    from rich.console import Console

    from bench.record import Record
    from bench.studies.ablate import Places

SUITE = "shapes"
SEEDS = 3
MAX_SEEDS = 20

ABLATE = """\
Trains each distinct row of the paper's Table 1 in miniature, from three seeds, and measures it on the test split. Give
the same command again to go on; start it twice, with --threads 1 each, to share the work between two processes.

examples:
  bench ablate                     all panels, (a) to (f)
  bench ablate table1d c           two of them
  bench ablate --list              the rows, and what is there
  bench ablate --out reports/results --training runs/train
"""

BAKEOFF = """\
Trains every method that is not there, with the same budget, measures all of them at the step counts of the paper, and
trains those that a claim is about from three seeds. Give the same command again to go on.

examples:
  bench bakeoff --seeds 1          every method once
  bench bakeoff                    and again from two more seeds, for `bench claims`
  bench bakeoff add lcm --processes 2
"""

BUDGET = """\
Measures the students that trainings kept after 1/8, 1/4, 1/2 and all of their steps: quality against teacher
evaluations, training images and seconds. Trains nothing.

examples:
  bench budget
  bench budget add lcm --seeds 1
"""


def add_parser(commands: Subparsers) -> None:
    """Add the three commands."""
    ablate = add_command(commands, "ablate", "train and measure the ablations of the paper's Table 1", ABLATE)
    ablate.add_argument("panels", nargs="*", metavar="PANEL", help="a to f, also written table1a (default: all)")
    ablate.add_argument("--list", action="store_true", help="show the rows with their published values and stop")
    _common(ablate, _ablate, "runs/ablate")
    bakeoff = add_command(commands, "bakeoff", "train and measure every method on one budget", BAKEOFF)
    bakeoff.add_argument("methods", nargs="*", metavar="METHOD", help="only these (default: all)")
    bakeoff.add_argument("--processes", type=int, default=1, metavar="N", help="that share a training (default: 1)")
    _common(bakeoff, _bakeoff, "runs/bakeoff")
    budget = add_command(commands, "budget", "measure quality against training budget", BUDGET)
    budget.add_argument("methods", nargs="*", metavar="METHOD", help="only these (default: all)")
    _common(budget, _budget, "runs/budget")


def _common(parser: Parser, main: object, out: str) -> None:
    parser.add_argument("--seeds", type=int, default=SEEDS, metavar="N", help=f"training seeds (default: {SEEDS})")
    parser.add_argument(
        "--training", type=Path, default=Path("runs/train"), metavar="DIR",
        help="the folder of `bench train` (default: runs/train)",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path(out), metavar="DIR", help=f"for records (default: {out})")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of torch (default: all cores)")
    parser.set_defaults(main=main)


def panels(names: Iterable[str]) -> tuple[str, ...]:
    """Panels as they are asked for: `a`, `table1a` or `table1` for all.

    Raises:
        UsageError: for one that there is not.
    """
    found: list[str] = []
    for name in names:
        letter = name.lower().removeprefix("table1").strip("()-")
        if letter and letter not in PANELS:
            known = ", ".join(f"{panel} ({title})" for panel, title in TITLES.items())
            raise UsageError(f"unknown panel {name!r}; there are {known}")
        found.extend(letter or PANELS)
    return tuple(dict.fromkeys(found))


def _ablate(args: argparse.Namespace) -> int:
    chosen = panels(args.panels)
    from bench.claims.ablations import rows_of

    records: list[Record] = []
    if not args.list:
        _check(args)
        places, console = _start(args)
        from bench.studies.ablate import ablate

        records = _all(ablate(rows_of(chosen), range(args.seeds), places, console))
    return _show_ablations(args, chosen, _failed(records))


def _show_ablations(args: argparse.Namespace, chosen: tuple[str, ...], failed: bool) -> int:
    from bench.claims.ablated import ablated
    from bench.record import read_records
    from bench.report.claims import ABLATION_HEADS, HOW_ABLATED, ablation_rows
    from bench.terminal_table import print_table

    known = ablated(read_records(args.out / "records"))
    shown = [row for row in known if not chosen or row.row.panel in chosen]
    print_table(ABLATION_HEADS, ablation_rows(shown), HOW_ABLATED, sys.stdout)
    return 1 if failed else 0


def _bakeoff(args: argparse.Namespace) -> int:
    from bench.claims.contenders import asked

    _check(args)
    if args.processes < 1:
        raise UsageError(f"--processes {args.processes}: at least 1")
    known = [contender.method for contender in CONTENDERS]
    chosen = [item for item in asked(args.seeds) if item.method in _methods(args.methods, known)]
    places, console = _start(args)
    from bench.studies.bakeoff import bake_off

    records = _all(bake_off(chosen, places, console, args.processes))
    return _finish(args, records, "`bench claims` says what they tell, `bench report` draws them")


def _budget(args: argparse.Namespace) -> int:
    _check(args)
    from methods.registry import PAPER, SUCCESSORS

    chosen = _methods(args.methods, [*PAPER, *SUCCESSORS])
    places, console = _start(args)
    from bench.studies.budget import measure_budget

    records = _all(measure_budget(chosen, range(args.seeds), places, console))
    return _finish(args, records, "`bench report` draws them")


def _all(records: Iterator[Record]) -> list[Record]:
    """Every record, made as it is asked for; what stops it in between is told that nothing is lost."""
    made: list[Record] = []
    try:
        made.extend(records)
    except KeyboardInterrupt:
        sys.stderr.write("\nthe same command goes on from here\n")
        raise
    return made


def _finish(args: argparse.Namespace, records: list[Record], what: str) -> int:
    there = sum(record.status != "failed" for record in records)
    sys.stdout.write(f"{there} records in {args.out / 'records'}; {what}\n")
    return 1 if _failed(records) else 0


def _failed(records: list[Record]) -> bool:
    for record in (record for record in records if record.status == "failed"):
        sys.stderr.write(f"{record.cell.name}: {record.reason}\n")
    return any(record.status == "failed" for record in records)


def _methods(names: list[str], known: list[str]) -> list[str]:
    if wrong := [name for name in names if name not in known]:
        raise UsageError(f"unknown method {wrong[0]!r}; there are {', '.join(known)}")
    return names or known


def _check(args: argparse.Namespace) -> None:
    if not 1 <= args.seeds <= MAX_SEEDS:
        raise UsageError(f"--seeds {args.seeds} is out of range; use 1 to {MAX_SEEDS}")
    if args.threads is not None and args.threads < 1:
        raise UsageError(f"--threads {args.threads}: at least 1")


def _start(args: argparse.Namespace) -> tuple[Places, Console]:
    """Load torch with the threads asked for; where things lie, and where progress is told."""
    OutFolder(args.out, SUITE).check()
    sys.stderr.write("loading torch …\n")
    sys.stderr.flush()
    import torch
    from rich.console import Console

    from bench.studies.ablate import Places

    if args.threads is not None:
        torch.set_num_threads(args.threads)
    return Places(args.training, args.out), Console(stderr=True)
