"""`bench train`: the embedded suite's networks, from nothing; or a student of any SDXL, on captioned images."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.cli_parser import Parser, Subparsers, add_command
from bench.errors import UsageError

EPILOG = """\
Each target resumes where it was stopped: give the same command again.

examples:
  bench train --list              what can be trained, in order, and what is there
  bench train                     everything, from nothing
  bench train lcm add             two students, on the teacher that is there
  bench train teacher --out try   a teacher of your own
  bench train add --seed 1        a student again, from another seed, in runs/train/seed-1

a student of another teacher, on a folder of images with captions (docs/fullscale.md):
  bench train add --teacher stabilityai/stable-diffusion-xl-base-1.0 --data photos --gradient-checkpointing
  bench train lcm --teacher my-sdxl --data shards --batch-size 64 --accumulation 4 --steps 10000
  bench train add --teacher stabilityai/stable-diffusion-xl-base-1.0 --plan-memory --batch-size 8
  accelerate launch --num_processes 8 -m bench train add --teacher my-sdxl --data photos
"""

_ONLY_FULL_SCALE = (
    "data", "resolution", "batch_size", "accumulation", "steps", "dtype", "gradient_checkpointing", "learning_rate",
    "features", "checkpoint_every", "plan_memory",
)  # fmt: skip


def add_parser(commands: Subparsers) -> None:
    """Add `train` to the command line."""
    parser = add_command(commands, "train", "train the embedded suite's networks, or a student of any SDXL", EPILOG)
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help="what to train (default: everything, in order, packed for use)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR",
        help="where checkpoints are trained (default: runs/train, with --teacher runs/fullscale)",
    )  # fmt: skip
    parser.add_argument("--list", action="store_true", help="show the targets and stop")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of torch, at least 1 (default: all cores)")
    parser.add_argument(
        "--processes", type=int, default=1, metavar="N",
        help="train teacher and students in N processes that share every batch (default: 1); on a\n"
        "CPU one process a core is faster than one with as many threads",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=int, metavar="N",
        help="of order, noise and new networks (default: 0); a student of the embedded suite is trained again\n"
        "with another one, in a folder of its own, and what it needs is what is there",
    )  # fmt: skip
    parser.add_argument("--no-limit", action="store_true", help="pack all students, however large the zoo becomes")
    _add_full_scale(parser)
    parser.set_defaults(main=main)


def _add_full_scale(parser: Parser) -> None:
    add = parser.add_argument_group("a student of another teacher").add_argument
    add("--teacher", metavar="NAME", help="an SDXL pipeline: its folder, or its name on the hub")
    add(
        "--data", type=Path, metavar="PATH", help="a folder of images with captions, a folder of tar shards, or a shard"
    )
    add("--resolution", type=int, metavar="N", help="pixels a side, a multiple of 8 (default: 512)")
    add("--batch-size", type=int, metavar="N", help="images a step, over all processes and parts (default: 128)")
    add("--accumulation", type=int, metavar="N", help="parts that a process computes its share in (default: 1)")
    add("--steps", type=int, metavar="N", help="updates, for pd of each round (default: 4000)")
    add("--dtype", metavar="NAME", help="float32, or bfloat16 for autocast (default: bfloat16 on a GPU)")
    add("--gradient-checkpointing", action="store_true", default=None, help="compute activations twice, keep few")
    add("--learning-rate", type=float, metavar="X", help="of the student (default: the method's own)")
    add("--features", metavar="NAME", help="DINOv2 under ADD's discriminator (default: facebook/dinov2-small)")
    add("--checkpoint-every", type=int, metavar="N", help="steps between checkpoints and sample grids (default: 500)")
    add("--plan-memory", action="store_true", default=None, help="print what memory each part needs, and stop")


def main(args: argparse.Namespace) -> int:
    """Hand over to the suite's training command, or to the full-scale one where a teacher is named."""
    given = [name for name in _ONLY_FULL_SCALE if getattr(args, name) is not None]
    if given and args.teacher is None:
        option = given[0].replace("_", "-")
        raise UsageError(f"--{option} without --teacher; name the pipeline folder or the hub id to distil")
    if args.teacher is not None and args.list:
        raise UsageError("--list shows the embedded suite's targets; leave --teacher out")
    sys.stderr.write("loading torch …\n")
    sys.stderr.flush()
    if args.teacher is not None:
        from bench.fullscale import command as full_scale

        return int(full_scale.main(args))
    from bench.suites.shapes.training import command

    return int(command.main(args))
