"""`bench verify`: is a run what its records say?"""

from __future__ import annotations

import argparse
import random
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli_parser import Subparsers, add_command
from bench.errors import UsageError
from bench.options import between
from bench.plan import Plan, RunRequest, make_plan
from bench.record import Record, read_records
from bench.text import one_line

if TYPE_CHECKING:
    from bench.verify import Draw

SLICES = 4
MAX_SLICES = 10_000
EPILOG = """\
Every image is compared with the hash it had when it was measured, and some slices, chosen at random, are sampled again.
The weights must be those of the record. Exit status: 0 all is as recorded, 1 something differs, which is named.

examples:
  bench verify runs/shapes
  bench verify runs/shapes --slices 20 --seed 7
  bench verify runs/mine --weights lcm=students/mine
  bench verify runs/prompts-1a2b3c4d --prompts mine.txt --slices 0     hashes alone
"""


def add_parser(commands: Subparsers) -> None:
    """Add `verify` to the command line."""
    parser = add_command(commands, "verify", "check the hashes of a run, and make some of its images again", EPILOG)
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="the --out folder of `bench run`")
    add("--slices", type=int, default=SLICES, metavar="N", help=f"slices made again (default: {SLICES})")
    add("--seed", type=int, metavar="N", help="which ones (default: drawn, and said)")
    add("--coco", type=Path, metavar="DIR", help="as for `bench run`")
    add("--parti", type=Path, metavar="FILE", help="as for `bench run`")
    add("--prompts", type=Path, metavar="FILE", help="as for `bench run`")
    add("--weights", action="append", default=[], metavar="METHOD=NAME", help="as for `bench run`")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Check hashes, make slices again, name what differs."""
    between("--slices", args.slices, 0, MAX_SLICES)
    records = _measured(args.run)
    seed = random.SystemRandom().randrange(2**31) if args.seed is None else args.seed
    from bench.verify import check_again, check_hashes, draw

    problems = []
    for line in check_hashes(records, args.run):
        problems.append(line)
        sys.stdout.write(one_line(line) + "\n")
    drawn = draw(records, args.slices, seed)
    _tell(f"{len(records):,} cells checked; making {len(drawn)} slices again (--seed {seed})")
    for plan, members in _plans(args, drawn):
        for line in check_again(plan, members, _tell):
            problems.append(line)
            sys.stdout.write(one_line(line) + "\n")
    if problems:
        _tell(f"{len(problems)} differences")
        return 1
    sys.stdout.write(f"{len(records):,} cells are as recorded; {len(drawn)} slices came out the same again\n")
    return 0


def _measured(run: Path) -> list[Record]:
    """The records of a run that have images.

    Raises:
        UsageError: where there is none.
    """
    folder = run / "records"
    found = [record for record in read_records(folder) if record.status == "ok"] if folder.is_dir() else []
    if not found:
        raise UsageError(f"{run} has no measured cells; name the --out folder of `bench run`")
    return found


def _plans(args: argparse.Namespace, drawn: Sequence[Draw]) -> list[tuple[Plan, list[Draw]]]:
    """A plan for the slices of each cell, with its weights where they are given."""
    by_cell = defaultdict(list)
    for item in drawn:
        by_cell[item.record.cell].append(item)
    data = {"--coco": args.coco, "--parti": args.parti, "--prompts": args.prompts}
    given = {option: path for option, path in data.items() if path is not None}
    plans = []
    for cell, items in by_cell.items():
        request = RunRequest(
            methods=cell.method,
            steps=str(cell.num_inference_steps),
            suite=None if given else cell.suite,
            data=given,
            out=args.run,
            limit=cell.limit,
            device=cell.device,
            dtype=cell.dtype,
            batch_size=cell.batch_size,
            seed=cell.seed,
            guidance_scale=cell.guidance_scale,
            images_per_prompt=cell.images_per_prompt,
            weights=[item for item in args.weights if item.partition("=")[0] == cell.method],
            family=cell.family,
            allow_off_recipe=cell.off_recipe,
            **items[0].record.provenance.get("loading", {}),
        )
        plan = make_plan(request)
        if plan.suite.name != cell.suite:
            raise UsageError(f"{args.run} holds suite {cell.suite!r}, not {plan.suite.name!r}")
        plans.append((replace(plan, cells=(cell,)), items))
    return plans


def _tell(line: str) -> None:
    sys.stderr.write(one_line(line) + "\n")
    sys.stderr.flush()
