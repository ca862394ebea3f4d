"""`bench compare`: which method is better on which score, what cannot be told, and how many images would tell."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli_parser import Subparsers, add_command
from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.record import Record
    from bench.report.differences import Difference
    from bench.report.frame import Group

EPILOG = """\
examples:
  bench compare                                          all pairs in reports/results, at the same number of steps
  bench compare --results runs/shapes --against add      every method against one
  bench compare --methods add,lcm --steps 1 --json       for a script
"""


def add_parser(commands: Subparsers) -> None:
    """Add `compare` to the command line."""
    parser = add_command(
        commands, "compare", "say which method is better, image by image, and what cannot be told", EPILOG
    )
    parser.add_argument(
        "--results", type=Path, default=Path("reports/results"), metavar="DIR",
        help="a folder that `bench run --out` wrote (default: reports/results)",
    )  # fmt: skip
    parser.add_argument("--methods", metavar="NAMES", help="only these, separated by commas (default: all)")
    parser.add_argument("--steps", metavar="NUMBERS", help="only these numbers of steps (default: all)")
    parser.add_argument("--metrics", metavar="NAMES", help="only these scores (default: all)")
    parser.add_argument("--against", metavar="NAME", help="compare with this method only (default: all pairs)")
    parser.add_argument("--json", action="store_true", help="JSON: one object a comparison")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Print one table a group of comparable cells."""
    from bench.report.frame import groups, load

    chosen = _chosen(load(args.results), args)
    tables = [(group, _table(group, args)) for group in groups(chosen)]
    tables = [(group, table) for group, table in tables if table]
    if not tables:
        raise UsageError(
            f"nothing to compare in {args.results}: it takes two methods at the same number of steps, prompts and "
            "seed, with scores of single images (`bench list` shows the methods)"
        )
    if args.json:
        rows = [_as_json(group, item) for group, table in tables for item in table]
        sys.stdout.write(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
        return 0
    for group, table in tables:
        _print(group, table)
    return 0


def _chosen(records: Sequence[Record], args: argparse.Namespace) -> list[Record]:
    """The records asked for.

    Raises:
        UsageError: for a method or number of steps that no record has.
    """
    known = {
        "--methods": {r.cell.method for r in records},
        "--steps": {str(r.cell.num_inference_steps) for r in records},
    }
    known["--metrics"] = {name for record in records for name in record.per_image}
    asked = {"--methods": _names(args.methods), "--steps": _names(args.steps), "--metrics": _names(args.metrics)}
    against = _names(args.against)
    for option, names in [*asked.items(), ("--against", against)]:
        there = known["--methods" if option == "--against" else option]
        if missing := sorted(names - there):
            raise UsageError(f"{option}: no record with {', '.join(missing)}; there are {', '.join(sorted(there))}")
    methods = asked["--methods"] | against if asked["--methods"] else known["--methods"]
    steps = asked["--steps"] or known["--steps"]
    return [r for r in records if r.cell.method in methods and str(r.cell.num_inference_steps) in steps]


def _names(text: str | None) -> set[str]:
    return {name.strip() for name in text.split(",") if name.strip()} if text else set()


def _table(group: Group, args: argparse.Namespace) -> list[Difference]:
    from bench.report.differences import differences, pairs
    from bench.report.display import columns

    wanted = _names(args.metrics)
    shown = [column for column in columns(group.measured) if column.ranked and (not wanted or column.name in wanted)]
    return differences(pairs(group.measured, args.against), shown)


def _print(group: Group, table: Sequence[Difference]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from bench.report.differences import ALPHA, POWER
    from bench.report.frame import label

    console = Console(file=sys.stdout, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = 200
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    for name in ("steps", "method", "against", "score", "difference [95 %]", "p (Holm)", "verdict"):
        grid.add_column(name, no_wrap=name != "verdict")
    for item in table:
        names = (label(item.one.cell), label(item.other.cell), item.column.header)
        cells = (str(item.one.cell.num_inference_steps), *names, _interval(item), _p(item.p_holm), _verdict(item))
        grid.add_row(*(Text(cell) for cell in cells))
    console.print(Text(group.key.title))
    console.print()
    console.print(grid)
    console.print()
    console.print(
        Text(
            f"{len(table)} comparisons, each over the same images · intervals are 95 % each for itself · verdicts hold "
            f"for the whole table at {ALPHA:.0%} (Holm) · numbers of images tell with {POWER:.0%} probability"
        )
    )
    console.print()


def _interval(item: Difference) -> str:
    from bench.report.display import digits_of, number

    factor = item.column.factor
    places = digits_of((item.high - item.low) / 2 * factor)
    value, low, high = (number(x * factor, places) for x in (item.value, item.low, item.high))
    return f"{'+' if item.value > 0 else ''}{value} [{low}, {high}]"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _verdict(item: Difference) -> str:
    from bench.report.differences import MIN_PROMPTS

    if item.verdict != "cannot tell":
        return item.verdict
    if item.prompts < MIN_PROMPTS:
        return f"cannot tell ({item.prompts} prompts are too few)"
    if not item.worth_saying or item.images_to_tell is None:
        return "cannot tell (as good as equal)"
    return f"cannot tell (about {rounded(item.images_to_tell):,} images would)"


def rounded(count: int) -> int:
    """Two significant digits, upwards."""
    step: int = 10 ** max(0, len(str(count)) - 2)
    return step * -(-count // step)


def _as_json(group: Group, item: Difference) -> dict[str, object]:
    from bench.report.frame import series

    return {
        "group": group.key.title,
        "num_inference_steps": item.one.cell.num_inference_steps,
        "method": series(item.one.cell),
        "against": series(item.other.cell),
        "records": [item.one.cell.name, item.other.cell.name],
        "quantity": item.column.name,
        "protocols": [_protocol(item.one, item.column.name), _protocol(item.other, item.column.name)],
        "difference": item.value,
        "ci_low": item.low,
        "ci_high": item.high,
        "n": item.n,
        "prompts": item.prompts,
        "p_value": item.p_value,
        "p_holm": item.p_holm,
        "verdict": item.verdict,
        "images_to_tell": item.images_to_tell,
    }


def _protocol(record: Record, name: str) -> str:
    quantity = record.quantity(name)
    return "" if quantity is None else quantity.protocol_hash
