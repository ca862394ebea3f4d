"""`bench fetch`: weights from the hub, checked and recorded, so that runs need no network."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli_parser import Subparsers, add_command
from bench.errors import UsageError
from bench.options import split
from methods.hub.reference import HubId, parse

if TYPE_CHECKING:
    from methods.hub.fetch import FetchPlan
    from methods.hub.wanted import Wanted

EPILOG = """\
Sizes and free disk are shown first. Stopped half way, the same command goes on. Only safetensors and configurations
are fetched, into the hub's own cache ($HF_HUB_CACHE). The commit and the sha256 of each file are recorded, and checked
at every load. A branch keeps the commit that it had at the first fetch; --update moves it.
Exit status: 0 all is there, 1 something cannot be had, 2 the request makes no sense, 130 stopped.

examples:
  bench fetch --methods add,lcm --family sdxl       what the table of released checkpoints has of them
  bench fetch --methods add --family sdxl --dry-run sizes, and nothing is fetched
  bench fetch stabilityai/sd-turbo                  a model by its name on the hub
  bench fetch stabilityai/sd-turbo@v1.0 --variant fp16
  bench fetch --judges pickscore,hpsv2              for --metric-weights pickscore=hub
  bench fetch ByteDance/SDXL-Lightning/sdxl_lightning_4step_unet.safetensors
"""


def add_parser(commands: Subparsers) -> None:
    """Add `fetch` to the command line."""
    parser = add_command(commands, "fetch", "fetch weights from the hub, check them, and record what they are", EPILOG)
    add = parser.add_argument
    add("models", nargs="*", metavar="MODEL", help="OWNER/NAME[@REVISION], or OWNER/NAME/FILE.safetensors[@REVISION]")
    add("--methods", metavar="A,B", help="names from `bench list methods`, with --family")
    add("--family", metavar="NAME", help="the architecture, as in sdxl (default: sdxl, with --methods)")
    add("--judges", metavar="A,B", help="pretrained judges, as --metric-weights NAME=hub takes them: pickscore, ...")
    add("--variant", metavar="NAME", help="as in fp16, for MODELs (default: full precision where there is any)")
    add("--dry-run", action="store_true", help="show what would be fetched, and stop")
    add("--update", action="store_true", help="move branches to the commit that they have on the hub now")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Show what is needed, check the disk, fetch."""
    wanted = _wanted(args)
    from methods.hub.fetch import check_disk, fetch, gigabytes, plan_fetch

    plans = [plan_fetch(item, update=args.update) for item in wanted]
    for plan in plans:
        sys.stdout.write(_line(plan) + "\n")
    needed, free = check_disk(plans)
    sys.stdout.write(f"to fetch: {gigabytes(needed)} · free: {gigabytes(free)}\n")
    sys.stdout.flush()
    if args.dry_run:
        return 0
    for plan in plans:
        _tell(f"{plan.wanted.hub_id}")
        hashes = fetch(plan, _tell)
        for name, digest in hashes.items():
            sys.stdout.write(f"{digest}  {plan.wanted.hub_id.repo}@{plan.commit[:12]}/{name}\n")
        _tell_memory(plan.wanted)
    return 0


def _wanted(args: argparse.Namespace) -> list[Wanted]:
    """What is asked for, each once.

    Raises:
        UsageError: for nothing, for options that do not go together, and for names that are none.
    """
    from methods.hub.fetch import wanted_of_text
    from methods.hub.wanted import wanted_of_methods

    if not args.models and not args.methods and not args.judges:
        raise UsageError("name what to fetch, as in --methods add,lcm --family sdxl, or stabilityai/sd-turbo")
    if args.family and not args.methods:
        raise UsageError("--family goes with --methods; name the methods too")
    wanted = [wanted_of_text(_hub_id(text), args.variant) for text in args.models]
    if args.methods:
        names = [name.strip() for name in args.methods.split(",")]
        if not all(names):
            raise UsageError(f"--methods {args.methods!r} has an empty entry")
        wanted.extend(wanted_of_methods(names, args.family or "sdxl"))
    if args.judges:
        from bench.metrics.judge_hub import wanted_of_judges

        wanted.extend(wanted_of_judges(split("--judges", args.judges)))
    return list(dict.fromkeys(wanted))


def _hub_id(text: str) -> HubId:
    found = parse(text)
    if isinstance(found, Path):
        raise UsageError(f"{text!r} is not a model on the hub; write OWNER/NAME, as in stabilityai/sdxl-turbo")
    return found


def _line(plan: FetchPlan) -> str:
    """`stabilityai/sd-turbo  1234567890ab  12 files, 5.21 GB, 3.00 GB to fetch`."""
    from methods.hub.fetch import gigabytes
    from methods.hub.places import hub_endpoint

    missing = f"{gigabytes(plan.missing_bytes)} to fetch" if plan.missing else "all here"
    gated = f", gated: {hub_endpoint()}/{plan.wanted.hub_id.repo}" if plan.gated else ""
    count = f"{len(plan.files)} file{'' if len(plan.files) == 1 else 's'}"
    return f"{plan.wanted.hub_id}  {plan.commit[:12]}  {count}, {gigabytes(plan.size_bytes)}, {missing}{gated}"


def _tell_memory(wanted: Wanted) -> None:
    from methods.hub.memory import summary
    from methods.hub.resolve import resolve_wanted

    if told := summary(resolve_wanted(wanted)):
        _tell(f"  {told}")


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
