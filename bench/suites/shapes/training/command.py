"""`python -m bench train`: everything from nothing, in stages that each resume."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from bench.errors import UsageError
from bench.suites.shapes.info import ZOO
from bench.suites.shapes.training.judging import train_clip, train_eye, train_preference, train_recogniser
from bench.suites.shapes.training.pack import pack_zoo
from bench.suites.shapes.training.stages import train_teacher, train_vae
from bench.suites.shapes.training.students import train_add, train_lcm
from bench.suites.shapes.training.workshop import Workshop

DEFAULT_FOLDER = Path("runs/train")


@dataclass(frozen=True)
class Stage:
    """One thing that can be trained, after what it needs."""

    summary: str
    needs: tuple[str, ...]
    train: Callable[[Workshop], None]


STAGES: dict[str, Stage] = {
    "recogniser": Stage("judge: which objects and attributes an image shows", (), train_recogniser),
    "clip": Stage("judge: does the image match the caption", (), train_clip),
    "preference": Stage("judge: which of two images is better", ("clip",), train_preference),
    "eye": Stage("the vision transformer that ADD's discriminator reads", (), train_eye),
    "vae": Stage("generator: the autoencoder", (), train_vae),
    "teacher": Stage("generator: text encoders and UNet, SDXL in miniature", ("vae",), train_teacher),
    "lcm": Stage("student: latent consistency distillation", ("teacher",), train_lcm),
    "add": Stage("student: adversarial diffusion distillation", ("teacher", "eye"), train_add),
}
"""In the order in which everything is trained."""

PACK = "zoo"


def main(args: argparse.Namespace) -> int:
    """Train the targets, each after what it needs; stages that are finished are left as they are."""
    console = Console(stderr=True)
    folder = args.out or DEFAULT_FOLDER
    shop = Workshop(folder, console)
    if args.list:
        _print_list(shop)
        return 0
    targets = args.targets or [*STAGES, PACK]
    order = _ordered(targets)
    if args.threads is not None:
        if args.threads < 1:
            raise UsageError(f"--threads {args.threads}: at least 1")
        torch.set_num_threads(args.threads)
    for name in order:
        if shop.finished(name):
            console.print(f"{name}: finished already, in {shop.stage(name)}")
        else:
            console.print(f"{name}: {STAGES[name].summary}")
            STAGES[name].train(shop)
    if PACK in targets:
        console.print(f"zoo: packing into {ZOO}")
        pack_zoo(shop, ZOO)
    return 0


def _ordered(targets: list[str]) -> list[str]:
    """The stages to train: the targets and all they need, in the fixed order.

    Raises:
        UsageError: for an unknown target.
    """
    for name in targets:
        if name not in STAGES and name != PACK:
            raise UsageError(f"unknown training target {name!r}; there are {', '.join(STAGES)} and {PACK}")
    wanted = {name for name in targets if name != PACK}
    while missing := {need for name in wanted for need in STAGES[name].needs} - wanted:
        wanted |= missing
    return [name for name in STAGES if name in wanted]


def _print_list(shop: Workshop) -> None:
    for name, stage in STAGES.items():
        state = "trained" if shop.finished(name) else "-"
        print(f"{name:12} {state:8} {stage.summary}")
    print(f"{PACK:12} {'':8} pack everything into {ZOO}")
