"""`bench doctor`: what each model card asks for, and whether a run would follow it. No torch without `--weights`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.cli_parser import Subparsers, add_command
from bench.doctor import Asked, Diagnosis, chosen_rows, diagnose
from bench.errors import UsageError
from bench.options import named_weights
from bench.options import steps as steps_of
from bench.plan import DTYPES, found_weights
from methods.checkpoints.guard import Check
from methods.checkpoints.table import Checkpoint, check_family
from methods.registry import METHODS

EPILOG = """\
Exit status: 0 all as the model cards ask, 1 a setting departs, 2 the request makes no sense.

examples:
  bench doctor                                             every recipe in the table
  bench doctor --methods add,lcm --family sdxl             two methods
  bench doctor --methods lcm-lora --guidance-scale 7       would this do?
  bench doctor --methods add --family sdxl --weights add=FOLDER   look at what would really run
  bench doctor --methods add --family sdxl --weights add=stabilityai/sdxl-turbo   the same of what was fetched
"""


def add_parser(commands: Subparsers) -> None:
    """Add `doctor` to the command line."""
    parser = add_command(commands, "doctor", "compare what would run with what each model card asks for", EPILOG)
    add = parser.add_argument
    add("--methods", metavar="A,B", help="names from `bench list methods` (default: all that have released weights)")
    add("--family", metavar="NAME", help="sdxl, sd15, sd21, sd35, flux, sana and others (default: all)")
    add("--steps", metavar="N,N", help="step counts (default: the first that each checkpoint is published for)")
    add("--guidance-scale", type=float, metavar="X", help="as `bench run` takes it (default: the recipe's own)")
    add("--dtype", metavar="NAME", help=f"{', '.join(DTYPES)} (default: the card's; float32 with --weights)")
    add("--weights", action="append", default=[], metavar="METHOD=NAME",
        help="load METHOD from a pipeline folder, a .safetensors file, or a model on the hub")  # fmt: skip
    add("--json", action="store_true", help="JSON: a list of rows with their checks")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Print the comparison; 1 where something departs."""
    if args.family is not None:
        check_family(args.family)
    if args.dtype is not None and args.dtype not in DTYPES:
        raise UsageError(f"--dtype {args.dtype!r} is not one of {', '.join(DTYPES)}")
    methods = _methods(args.methods)
    chosen = chosen_rows(methods, args.family)
    known = methods or tuple(dict.fromkeys(row.method for row in chosen))
    weights = found_weights(named_weights(args.weights, known))
    _one_family(chosen, weights)
    asked = Asked(None if args.steps is None else steps_of(args.steps), args.guidance_scale, args.dtype)
    found = list(diagnose(chosen, asked, weights))
    if args.json:
        sys.stdout.write(json.dumps([_as_json(item) for item in found], indent=1) + "\n")
    else:
        sys.stdout.write("".join(_text(item, full=item.row.method in weights or len(found) <= 4) for item in found))
        sys.stdout.write(_summary(found))
    return 0 if all(item.ok for item in found) else 1


def _methods(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(item.strip() for item in text.split(",") if item.strip())
    if not names:
        raise UsageError("--methods is empty; give at least one name, or leave it out")
    for name in names:
        METHODS.entry(name)
    return names


def _one_family(chosen: Sequence[Checkpoint], weights: dict[str, Path]) -> None:
    for method in weights:
        families = tuple(dict.fromkeys(row.family for row in chosen if row.method == method))
        if len(families) > 1:
            raise UsageError(f"--weights {method}=...: of which family? name one with --family ({', '.join(families)})")


def _text(item: Diagnosis, *, full: bool) -> str:
    """A block of lines: the row, then each setting, those that depart always, the others where `full`."""
    row = item.row
    lines = [f"{row.method} · {row.family} · {item.steps} step{'' if item.steps == 1 else 's'} · {_verdict(item)}"]
    if full:
        lines += [f"  {line}" for line in _about(row)]
    width = max((len(check.name) for check in item.checks), default=0)
    for check in item.checks:
        if check.ok and full:
            lines.append(
                f"  {check.name:<{width}}  {check.expected}" + ("" if _agree(check) else f"  ({check.actual})")
            )
        elif not check.ok:
            told = f"  <- {check.mistake}" if check.mistake else ""
            lines.append(f"  {check.name:<{width}}  expected {check.expected}, actual {check.actual}{told}")
    if item.reason is not None:
        lines.append(f"  {item.reason}")
    return "\n".join(lines) + "\n"


def _agree(check: Check) -> bool:
    return check.expected == check.actual


def _verdict(item: Diagnosis) -> str:
    if item.reason is not None:
        return "cannot be looked at"
    wrong = sum(not check.ok for check in item.checks)
    if wrong:
        return f"{wrong} setting{'' if wrong == 1 else 's'} off the recipe"
    if item.row.repo is None:
        return "no public weights"
    return "as its card asks" if item.row.runs else "as its card asks, not run here"


def _about(row: Checkpoint) -> list[str]:
    """Where the weights come from and where the recipe was read."""
    source = row.repo or "no public weights"
    file = f" {row.filename}" if row.filename else ""
    commit = f" @{row.revision[:12]}" if row.revision else ""
    lines = [f"{source}{file}{commit} · {row.licence}" + (" · gated" if row.gated else "")]
    if row.base:
        lines.append(f"put into {row.base}")
    lines.append(f"read in: {row.source}")
    if row.note:
        lines.append(row.note)
    return lines + [f"not confirmed: {fact}" for fact in row.unverified]


def _summary(found: Sequence[Diagnosis]) -> str:
    wrong = [item for item in found if not item.ok]
    count = f"{len(found)} checkpoint{'' if len(found) == 1 else 's'}"
    if wrong:
        return f"{count} looked at, {len(wrong)} off their recipe\n"
    cardless = sum(item.row.repo is None for item in found)
    if not cardless:
        return f"{count}, all as their cards ask\n"
    return f"{count}: {len(found) - cardless} as their cards ask, {cardless} without public weights\n"


def _as_json(item: Diagnosis) -> dict[str, object]:
    row = item.row
    names = ("method", "family", "kind", "repo", "filename", "revision", "base", "licence", "gated", "runs", "source")
    about = {name: getattr(row, name) for name in names}
    checks = [asdict(check) for check in item.checks]
    told = {"unverified": list(row.unverified), "steps": item.steps, "ok": item.ok, "reason": item.reason}
    return {**about, **told, "checks": checks}
