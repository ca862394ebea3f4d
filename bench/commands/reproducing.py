"""What of the paper is missing in the records, and the ordinary runs that measure it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.cli_parser import Parser
from bench.commands import run
from bench.commands.truncating import GAN, run_truncated
from bench.errors import FewstepError

STUDY = {"figure5", "figure6", "figure7", "figure9", "figure10"}
NEEDS: dict[str, tuple[tuple[str, int], ...]] = {
    "figure1": (("add", 1),),
    "figure3": (("add", 1), ("lcm-lora", 1), ("lcm-lora", 2), ("lcm-lora", 4), ("lcm", 1), ("lcm", 4)),
    "figure4": (("add", 1), ("add", 2), ("add", 4)),
    "figure11": (("gan", 1),),
    "figure8": (("add", 1), ("add", 4), ("sdxl-euler", 25)),
}
"""Galleries and the GAN: (method, steps). What tables and studies need stands in the data of their counterparts."""


def missing(wanted: Iterable[str], results: Path) -> list[tuple[str, int]]:
    """(method, steps) of every cell of the embedded suite that an entry needs and that the records do not have."""
    from bench.report.frame import groups, load
    from bench.report.ledger.find import look, miniature

    has_records = (results / "records").is_dir() and any((results / "records").glob("*.json"))
    group = miniature(groups(load(results))) if has_records else None
    needed = dict.fromkeys(cell for name in wanted for cell in _needs(name))
    return [cell for cell in needed if look(group, *cell).record is None]


def run_missing(wanted: Sequence[str], results: Path, weights: Mapping[str, str] | None = None) -> int:
    """Run them, a run a method; each joins the group of records that the ledger reads. The worst exit status.

    `weights` names those of methods that are not to be loaded from where they are shipped.
    """
    from bench.report.ledger.names import NAMES

    named = weights or {}
    by_method: dict[str, list[int]] = {}
    for method, steps in missing(wanted or NAMES, results):
        by_method.setdefault(method, []).append(steps)
    status = 0
    for method, counts in by_method.items():
        command = ["--methods", method, "--steps", ",".join(map(str, counts)), "--out", str(results), *_place(results)]
        command += ["--weights", f"{method}={named[method]}"] if method in named else []
        sys.stderr.write(f"python -m bench run {' '.join(command)}\n")
        status = max(status, _status(_run, command))
    if not wanted or "figure11" in wanted:
        status = max(status, _status(run_truncated, results, _place(results), _run, named.get(GAN)))
    return status


def _status(work: Callable[..., int], *args: Any) -> int:
    """The exit status of `work`; an error is told, and the next is gone on with."""
    try:
        return work(*args)
    except FewstepError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code


def _needs(name: str) -> tuple[tuple[str, int], ...]:
    from bench.published.tables import counterpart, published

    if name in NEEDS:
        return NEEDS[name]
    if name == "table2":
        rows = [("table2", row.keys["method"], row.keys["num_inference_steps"]) for row in published("table2")]
    elif name == "figure7":
        rows = [("study", row.keys["model"], row.keys["num_inference_steps"]) for row in published("figure7")]
    elif name in STUDY:
        own = [row.keys for row in published("user_study") if f"figure{row.keys['figure']}" == name]
        sides = (("add_model", "add_steps"), ("opponent", "opponent_steps"))
        rows = [("study", keys[model], keys[steps]) for keys in own for model, steps in sides]
    else:
        return ()
    known = [counterpart(*row) for row in dict.fromkeys(rows)]
    return tuple((item.method, item.steps) for item in known if item.method is not None and item.steps is not None)


def _place(results: Path) -> list[str]:
    """The settings of the group that the ledger reads, so that new cells join it."""
    from bench.report.frame import groups, load
    from bench.report.ledger.find import miniature

    has_records = (results / "records").is_dir() and any((results / "records").glob("*.json"))
    group = miniature(groups(load(results))) if has_records else None
    if group is None:
        return []
    key = group.key
    return [
        "--suite", key.suite, "--limit", str(key.limit), "--device", key.device, "--dtype", key.dtype,
        "--batch-size", str(key.batch_size), "--seed", str(key.seed),
    ]  # fmt: skip


def _run(command: list[str]) -> int:
    parser = Parser(prog="bench", allow_abbrev=False)
    run.add_parser(parser.add_subparsers(dest="command", required=True, parser_class=Parser))
    return run.main(parser.parse_args(["run", *command]))
