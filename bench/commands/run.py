"""`bench run`: measure methods at step counts."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from bench import options
from bench.cli_parser import Subparsers, add_command
from bench.errors import FewstepError
from bench.following import row_of, row_weights
from bench.lock import FolderLock
from bench.options import MAX_GUIDANCE, MAX_STEPS
from bench.plan import (
    DEVICES,
    DTYPES,
    MAX_BATCH_SIZE,
    MAX_IMAGES_PER_PROMPT,
    MAX_JOBS,
    MAX_SEED,
    Plan,
    RunRequest,
    make_plan,
)
from bench.record import Cell, Record
from bench.resume import Resume
from bench.signals import exit_status
from bench.storage import storing
from methods.hub.resolve import describe

EPILOG = """\
The same command again goes on where it was stopped, and does nothing where all is there.
Exit status: 0 all cells measured, 1 a cell failed, 2 the request makes no sense, 130 stopped (143 by SIGTERM).
`bench verify FOLDER` checks what a run left (docs/resume.md).

examples:
  bench run --methods add,lcm --steps 1,4                  the embedded suite, nothing to download
  bench run --methods lcm --steps 1,2,4,8 --limit 100      a quick look
  bench run --methods sdxl-ddim --steps 25 --guidance-scale 5
  bench run --methods lcm --steps 4 --weights lcm=students/mine --out runs/mine
  bench run --steps 1,2,4,8 --jobs 2                       two cells at a time where they are sampled
  bench run --prompts mine.txt --methods lcm --steps 4 --weights lcm=my-sdxl --metric-weights pickscore=hub
  bench doctor --methods add,lcm --family sdxl             what the model cards ask for, before a run
  bench run --methods add,lcm --family sdxl --steps 1,4 --prompts mine.txt --device cuda --dtype float16
"""


def add_parser(commands: Subparsers) -> None:
    """Add `run` to the command line."""
    parser = add_command(commands, "run", "measure methods x steps on a suite; print a table, leave records", EPILOG)
    add = parser.add_argument
    add("--methods", default="add,lcm", metavar="A,B", help="names from `bench list methods` (default: add,lcm)")
    add("--steps", default="1,4", metavar="N,N", help=f"step counts, 1 to {MAX_STEPS} (default: 1,4)")
    add("--suite", metavar="NAME", help="a name from `bench list suites` (default: shapes)")
    add("--coco", type=Path, metavar="DIR", help="suite coco2017-5k: a folder with val2017/ and annotations/")
    add("--parti", type=Path, metavar="FILE", help="suite parti: PartiPrompts.tsv")
    add("--prompts", type=Path, metavar="FILE", help="your own prompts: .txt, .csv, .tsv, .jsonl or .parquet")
    add("--out", type=Path, metavar="DIR", help="new, empty, or written by this command (default: runs/SUITE)")
    add("--limit", type=int, metavar="N", help="prompts a cell, 1 to all of the suite (default: the suite's own)")
    add("--device", default="auto", metavar="NAME", help=f"{', '.join(DEVICES)} (default: auto, a GPU if any)")
    add("--dtype", default="float32", metavar="NAME", help=f"{', '.join(DTYPES)} (default: float32)")
    add("--batch-size", type=int, default=RunRequest.batch_size, metavar="N",
        help=f"images sampled at once, 1 to {MAX_BATCH_SIZE} (default: {RunRequest.batch_size})")  # fmt: skip
    add("--images-per-prompt", type=int, default=1, metavar="K",
        help=f"images of each prompt, each with its own seed, 1 to {MAX_IMAGES_PER_PROMPT} (default: 1)")  # fmt: skip
    add("--seed", type=int, default=0, metavar="N", help=f"0 to {MAX_SEED}; image i has its own from it (default: 0)")
    add("--guidance-scale", type=float, metavar="X",
        help=f"1 (none, as is 0) to {MAX_GUIDANCE:g}, in diffusers' sense (default: the method's own)")  # fmt: skip
    add("--metrics", metavar="A,B", help="names from `bench list metrics` (default: the suite's own)")
    add("--family", metavar="NAME",
        help="released checkpoints of sdxl, sd15, sd21, sd35, flux or sana (default: the suite's own)")  # fmt: skip
    add("--allow-off-recipe", action="store_true",
        help="run settings that a model card does not have; the rows are marked wherever they are shown")  # fmt: skip
    add("--weights", action="append", default=[], metavar="METHOD=NAME",
        help="sample METHOD from a pipeline folder, a .safetensors file, or a model on the hub\n"
        "(OWNER/NAME[@REVISION], fetched before by `bench fetch`)")  # fmt: skip
    add("--metric-weights", action="append", default=[], metavar="NAME=PATH",
        help="weights of a pretrained judge: a folder, a file or `hub`; PATH alone has a folder a name")  # fmt: skip
    add("--offload", default="none", metavar="HOW",
        help="model, sequential: weights wait on the host, for GPUs that are too small (default: none)")  # fmt: skip
    add("--slicing", action="store_true", help="attend and decode in slices: less memory, more time")
    add("--jobs", type=int, default=1, metavar="N",
        help="sample N cells at a time, each with its share of the threads; they are timed and judged one by one\n"
        "afterwards (default: 1)")  # fmt: skip
    add("--force", action="store_true", help="sample and measure again what is there already")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Plan, measure what is missing, show the table."""
    options.between("--jobs", args.jobs, 1, MAX_JOBS)
    plan = make_plan(
        RunRequest(
            methods=args.methods,
            steps=args.steps,
            suite=args.suite,
            out=args.out,
            limit=args.limit,
            device=args.device,
            dtype=args.dtype,
            batch_size=args.batch_size,
            seed=args.seed,
            force=args.force,
            metrics=args.metrics,
            guidance_scale=args.guidance_scale,
            weights=args.weights,
            images_per_prompt=args.images_per_prompt,
            metric_weights=args.metric_weights,
            data={
                option: path
                for option, path in (("--coco", args.coco), ("--parti", args.parti), ("--prompts", args.prompts))
                if path is not None
            },
            family=args.family,
            allow_off_recipe=args.allow_off_recipe,
            offload=args.offload,
            slicing=args.slicing,
        )
    )
    try:
        records = _measured(plan, args.jobs)
        _show(plan, records)
    except KeyboardInterrupt as stop:
        return _stopped(plan, stop)
    return 1 if any(record.status == "failed" for record in records.values()) else 0


def _tell_sources(plan: Plan, pending: Sequence[Cell]) -> None:
    """Which files the cells to come are sampled from; of one that cannot be had, its cell says why."""
    told = {method: describe(path) for method, path in plan.weights.items()}
    for cell in pending:
        if cell.family is not None:
            with suppress(FewstepError):
                row = row_of(cell)
                told[row.name] = describe(row_weights(row, plan.weights.get(cell.method)))
                told.pop(cell.method, None)
    for name, source in told.items():
        if source is not None:
            _tell(f"{name}: {source}")


def _measured(plan: Plan, jobs: int) -> Mapping[Cell, Record]:
    """The records of all cells; those that are missing are measured, by one command at a time."""
    resume = Resume(plan)
    if not resume.pending and plan.out.results_are_written_out:
        sys.stdout.write(f"nothing to do: {_there(plan, len(plan.cells))} are there\n\n")
        return resume.done
    with FolderLock(plan.out.root):
        resume = Resume(plan)  # as it is now: another command may have been at it a moment ago
        _tell_sources(plan, resume.pending)
        records = {**resume.done, **_measure(plan, resume, jobs)} if resume.pending else resume.done
        with storing(plan.out.root):
            _leave_results(plan)
    return records


def _measure(plan: Plan, resume: Resume, jobs: int) -> Mapping[Cell, Record]:
    there = f", {_there(plan, len(resume.done))} are there" if resume.done else ""
    cells, prompts = _count(len(plan.cells), "cell"), _count(plan.limit, "prompt")
    _tell(f"{plan.suite.name} · {cells} of {prompts}{there} · loading torch …")
    from bench import runner
    from bench.progress import Progress
    from bench.truncation import cut_prompts

    if jobs > 1 and len(resume.pending) > 1:
        plan = _sampled(plan, resume, jobs)
    with cut_prompts() as cut, Progress(resume.pending) as progress:
        records = runner.run(plan, resume, progress)
    if cut.line is not None:
        _tell(cut.line)
    return records


def _sampled(plan: Plan, resume: Resume, jobs: int) -> Plan:
    """`plan`, once the images of its pending cells are there as far as jobs could sample them."""
    from bench.jobs import sample_in_jobs
    from bench.runner import discard

    if plan.force:
        for cell in resume.pending:
            discard(plan, cell)
    sample_in_jobs(plan, resume.pending, jobs, _tell)
    return replace(plan, force=False)  # what is there now is new


def _leave_results(plan: Plan) -> None:
    """Write results.csv and results.parquet."""
    from bench.record_index import write_index
    from bench.results import readable_records, write_results

    records, problems = readable_records(plan.out.records)
    for problem in problems:
        _tell(f"left out of results.csv: {problem}")
    write_results(records.values(), plan.out.root)
    write_index(plan.out.root, records)
    plan.out.results_are_written()


def _show(plan: Plan, records: Mapping[Cell, Record]) -> None:
    from bench.terminal import show

    show(plan, records, sys.stdout)


def _stopped(plan: Plan, stop: KeyboardInterrupt) -> int:
    kept = sum(plan.out.count_images(cell) for cell in plan.cells)
    total = plan.images * len(plan.cells)
    _tell(f"\nstopped; the same command goes on from here ({kept:,} of {total:,} images kept)")
    return exit_status(stop)


def _there(plan: Plan, count: int) -> str:
    return f"{count} of {len(plan.cells)} cells"


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
