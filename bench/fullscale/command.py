"""`python -m bench train METHOD --teacher …`: the full-scale path of the training command."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import fields
from typing import Any

from rich.console import Console

from bench.errors import UsageError
from bench.fullscale.request import METHODS, FullScale


def main(args: argparse.Namespace) -> int:
    """Plan the memory, or train; the checkpoint's folder is printed to stdout.

    Raises:
        UsageError: for options that do not go together.
    """
    request = make_request(args)
    if args.plan_memory:
        from bench.fullscale.memory import plan_memory

        sys.stdout.write(plan_memory(request))
        return 0
    if request.data is None:
        raise UsageError("--teacher without --data; give the folder of images with captions to train on")
    import torch

    from bench.fullscale.train import train_full_scale

    if args.threads is not None:
        torch.set_num_threads(args.threads)
    folder = train_full_scale(request, Console(stderr=True))
    if os.environ.get("RANK", "0") == "0":
        sys.stdout.write(f"{folder}\n")
    return 0


def make_request(args: argparse.Namespace) -> FullScale:
    """The options that were given, over the defaults.

    Raises:
        UsageError: where the method or the teacher is missing, or an option makes no sense.
    """
    if args.teacher is None:
        raise UsageError("--data without --teacher; name the pipeline folder or the hub id to distil")
    if len(args.targets) != 1:
        raise UsageError(f"--teacher trains one method at a time; name one of {', '.join(METHODS)}")
    if args.threads is not None and args.threads < 1:
        raise UsageError(f"--threads {args.threads}: at least 1")
    if args.processes != 1:
        raise UsageError("--processes is for the embedded suite; use `accelerate launch` with --teacher")
    names = {field.name for field in fields(FullScale)} - {"method"}
    given: dict[str, Any] = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    return FullScale(method=args.targets[0], **given)
