"""`bench claims`: what the stored records say about each claim of the paper."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bench.cli_parser import Subparsers, add_command
from bench.errors import UsageError

EPILOG = """\
Each claim is a comparison of records over at least three training seeds, on the test split. Nothing is trained or
measured here: `bench bakeoff` and `bench ablate` leave the records, and a claim that lacks some says which.

examples:
  bench claims                              from reports/results
  bench claims --results runs/bakeoff       from a folder of your own
  bench claims one-step diversity --json    two of them, for a script
"""


def add_parser(commands: Subparsers) -> None:
    """Add `claims` to the command line."""
    parser = add_command(commands, "claims", "say which claims of the paper hold here, and by what interval", EPILOG)
    parser.add_argument("names", nargs="*", metavar="NAME", help="claims by name (default: all)")
    parser.add_argument(
        "--results", type=Path, action="append", metavar="DIR",
        help="a folder with records; may be given several times (default: reports/results)",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="DIR", help="write claims.csv and claims.json there too")
    parser.add_argument("--json", action="store_true", help="JSON: one object a claim")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Judge and print; exit 0 whatever the verdicts are."""
    from bench.claims.judge import judge_all
    from bench.claims.table import CLAIMS
    from bench.record import read_records
    from bench.report.claims import CLAIM_HEADS, HOW_JUDGED, claim_rows
    from bench.terminal_table import print_table

    known = {claim.name: claim for claim in CLAIMS}
    if wrong := [name for name in args.names if name not in known]:
        raise UsageError(f"unknown claim {wrong[0]!r}; there are {', '.join(known)}")
    folders = args.results or [Path("reports/results")]
    records = [record for folder in folders for record in read_records(folder / "records")]
    judged = judge_all([known[name] for name in args.names or known], records)
    if args.out is not None:
        from bench.report.claim_files import write_claims

        write_claims(judged, args.out)
    if args.json:
        from bench.report.claim_files import as_json

        sys.stdout.write(json.dumps([as_json(item) for item in judged], indent=1, ensure_ascii=False) + "\n")
        return 0
    print_table(CLAIM_HEADS, claim_rows(judged), HOW_JUDGED, sys.stdout)
    return 0
