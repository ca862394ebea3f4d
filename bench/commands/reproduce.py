"""`bench reproduce`: the paper's tables and figures, published beside ours, with a verdict on each value."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli_parser import Subparsers, add_command
from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.report.ledger.ledger import Sources
    from bench.report.ledger.lines import Entry

RESULTS = Path("reports/results")
OUT = Path("reports")

EPILOG = """\
Names are table1, table2, figure1 to figure11, or all. What is missing is measured as `bench run` does it, into
reports/results; then each is printed and written as Markdown, LaTeX, CSV, SVG and PNG. docs/reproduce.md says what a
verdict means. Exit status: 0 shown, 1 a cell failed, 2 the request makes no sense.

examples:
  bench reproduce table2                       measure what is missing of Table 2, then show it
  bench reproduce figure11 --weights gan=DIR   with a GAN that you trained: its folder in runs/train/gan/pipelines
  bench reproduce --no-run                     everything, from the records there are
  bench reproduce figure5 --from runs/shapes   from a run of your own, into runs/shapes/report
"""


def add_parser(commands: Subparsers) -> None:
    """Add `reproduce` to the command line."""
    parser = add_command(
        commands, "reproduce", "regenerate the paper's tables and figures, with a verdict on each value", EPILOG
    )
    add = parser.add_argument
    add("what", nargs="*", metavar="NAME", help="table1, table2, figure1 … figure11, all (default: all)")
    add("--from", dest="results", type=Path, metavar="DIR",
        help=f"show what the records of this folder have, and run nothing (default: {RESULTS})")  # fmt: skip
    add("--no-run", action="store_true", help="run nothing")
    add("--weights", action="append", default=[], metavar="METHOD=FOLDER",
        help="measure METHOD with these weights, as `bench run` does: for one that you trained")  # fmt: skip
    add("--out", type=Path, metavar="DIR", help=f"where to write (default: {OUT}, or DIR/report with --from DIR)")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Measure what is missing, show and write what was asked for."""
    wanted = _wanted(args.what)
    results = args.results or RESULTS
    status = 0
    if args.results is None and not args.no_run:
        from bench.commands.reproducing import run_missing
        from bench.options import named_weights
        from methods.registry import METHODS

        status = run_missing(wanted, results, named_weights(args.weights, METHODS.names()))
    elif args.weights:
        raise UsageError("--weights is for what is run, and with --from or --no-run nothing is; leave one of them out")
    from bench.report.ledger.ledger import ledger
    from bench.report.ledger.write import entry_markdown

    sources = _sources(results)
    entries = ledger(sources, wanted)
    out = args.out or (OUT if args.results is None else results / "report")
    _write(entries, out)
    for entry in entries:
        sys.stdout.write(entry_markdown(entry) + "\n")
    _tell(entries, out, stale=out == OUT)
    return status


def _wanted(names: list[str]) -> tuple[str, ...]:
    """The entries asked for; none for all of them.

    Raises:
        UsageError: for an unknown name.
    """
    from bench.report.ledger.names import NAMES

    if not names or "all" in names:
        return ()
    for name in names:
        if name not in NAMES:
            raise UsageError(f"there is no {name!r} in the paper; use {', '.join(NAMES)}, or all")
    return tuple(names)


def _sources(results: Path) -> Sources:
    from bench.report.frame import groups, load
    from bench.report.ledger.ledger import Sources
    from bench.report.sheets import read_prompts, read_sheets

    records = load(results)
    found = groups(records)
    sheets = {group.slug: read_sheets(results, group.measured) for group in found}
    return Sources(results, records, found, sheets, read_prompts(results))


def _write(entries: list[Entry], out: Path) -> None:
    from bench.report.ledger.write import files

    try:
        for entry in entries:
            for name, data in files(entry).items():
                path = out / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
    except OSError as error:
        raise UsageError(f"{out}: cannot be written ({error}); name another folder with --out") from error


def _tell(entries: list[Entry], out: Path, *, stale: bool) -> None:
    from bench.report.ledger.lines import counts

    found = counts(entries)
    told = ", ".join(f"{found[kind]} {kind}" for kind in ("reproduced", "differs", "not comparable"))
    sys.stderr.write(f"{told} · written to {out / 'tables'} and {out / 'figures'}\n")
    if stale:
        sys.stderr.write("`python -m bench report` writes the whole report of these records\n")
