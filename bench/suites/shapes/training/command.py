"""`python -m bench train`: everything from nothing, in stages that each resume."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from bench.errors import UsageError
from bench.lock import FolderLock
from bench.suites.shapes.info import ZOO
from bench.suites.shapes.training.eyes import EYES, eye_trainer, eyes_of
from bench.suites.shapes.training.judging import train_clip, train_eye, train_preference, train_recogniser
from bench.suites.shapes.training.pack import LIMIT_BYTES, pack_zoo
from bench.suites.shapes.training.second_teacher import train_second_teacher
from bench.suites.shapes.training.seeds import SEEDED, workshop
from bench.suites.shapes.training.stages import train_teacher, train_vae
from bench.suites.shapes.training.students.add import ADD_RECIPE, train_add
from bench.suites.shapes.training.students.cfg_aware import train_cfg_aware
from bench.suites.shapes.training.students.common import CURRENCIES
from bench.suites.shapes.training.students.dmd2 import dmd2_trainer
from bench.suites.shapes.training.students.gan import GAN_RECIPE, train_gan
from bench.suites.shapes.training.students.gd import train_gd
from bench.suites.shapes.training.students.instaflow import train_instaflow
from bench.suites.shapes.training.students.lcm import train_lcm
from bench.suites.shapes.training.students.lcm_lora import train_lcm_lora
from bench.suites.shapes.training.students.progressive import train_pd
from bench.suites.shapes.training.students.start import train_start
from bench.suites.shapes.training.students.style import show_plugged, train_style
from bench.suites.shapes.training.students.ufogen import train_ufogen
from bench.suites.shapes.zoo import PACKED as PACK
from bench.training.heap import keep_heap
from bench.training.launch import launched
from bench.training.workshop import Workshop
from methods.distill.draws import Share
from methods.distill.parallel import process_group, wait_for_all
from methods.errors import FewstepError

DEFAULT_FOLDER = Path("runs/train")


@dataclass(frozen=True)
class Stage:
    """One thing that can be trained, after what it needs."""

    summary: str
    needs: tuple[str, ...]
    train: Callable[[Workshop], None]
    parallel: bool = False
    """Whether several processes can share its batches."""
    by_default: bool = True
    """Whether it is trained when no target is named; otherwise only by name, or where another stage needs it."""


STAGES: dict[str, Stage] = {
    "recogniser": Stage("judge: which objects and attributes an image shows", (), train_recogniser),
    "clip": Stage("judge: does the image match the caption", (), train_clip),
    "preference": Stage("judge: which of two images is better", ("clip",), train_preference),
    "eye": Stage("the vision transformer that ADD's discriminator reads", (), train_eye),
    **{
        name: Stage(f"the same, {eye.size.width} wide, learning as {eye.kind}", (), eye_trainer(name), by_default=False)
        for name, eye in EYES.items()
        if name != "eye"
    },
    "vae": Stage("generator: the autoencoder", (), train_vae),
    "teacher": Stage("generator: text encoders and UNet, SDXL in miniature", ("vae",), train_teacher, True),
    "teacher-small": Stage(
        "a second teacher of another size, for the ablations", ("teacher",), train_second_teacher, True, False
    ),
    "lcm": Stage("student: latent consistency distillation", ("teacher",), train_lcm, True),
    "start": Stage("what adversarial students begin with: consistency distillation", ("teacher",), train_start, True),
    "add": Stage("student: adversarial diffusion distillation", ("start", *eyes_of(ADD_RECIPE)), train_add, True),
    "lcm-lora": Stage("student: latent consistency distillation into a LoRA", ("teacher",), train_lcm_lora, True),
    "pd": Stage("student: progressive distillation, a checkpoint for 4, 2, 1 steps", ("teacher",), train_pd, True),
    "gd": Stage("student: guidance distillation, one network for all scales", ("teacher",), train_gd, True),
    "dmd2-4": Stage("student: distribution matching, 4 steps", ("start",), dmd2_trainer(4), True),
    "dmd2-1": Stage("student: distribution matching, 1 step", ("start",), dmd2_trainer(1), True),
    "instaflow": Stage("student: reflow and distillation into 1 step", ("teacher",), train_instaflow, True),
    "cfg-aware": Stage("student: guided steps distilled two into one, 8 steps", ("teacher",), train_cfg_aware, True),
    "ufogen": Stage("student: a GAN on noisy latents, 1 step", ("start",), train_ufogen, True),
    "gan": Stage("a GAN from random weights, 1 step", ("teacher", *eyes_of(GAN_RECIPE)), train_gan, True),
    "style": Stage("a second base: the teacher's UNet tuned on another style", ("teacher",), train_style, True),
    "lcm-lora-style": Stage("the same LoRA on the second base: a sheet", ("lcm-lora", "style"), show_plugged),
}
"""In the order in which everything is trained."""


def main(args: argparse.Namespace) -> int:
    """Train the targets, each after what it needs; stages that are finished are left as they are."""
    console = Console(stderr=True)
    folder = args.out or DEFAULT_FOLDER
    shop = workshop(folder, console, args.seed or 0)
    if args.list:
        _print_list(shop)
        return 0
    targets = args.targets or [*(name for name, stage in STAGES.items() if stage.by_default), PACK]
    order = ordered(targets)
    _check_seed(targets, shop.seed)
    if args.processes < 1:
        raise UsageError(f"--processes {args.processes}: at least 1")
    if args.threads is not None:
        if args.threads < 1:
            raise UsageError(f"--threads {args.threads}: at least 1")
        torch.set_num_threads(args.threads)
    keep_heap()
    with process_group() as share:
        for name in order:
            train_stage(shop, name, args.processes, share)
        if share.rank:
            return 0
    if PACK in targets:
        console.print(f"zoo: packing into {ZOO}")
        pack_zoo(shop, ZOO, limit=None if args.no_limit else LIMIT_BYTES)
    return 0


def train_stage(shop: Workshop, name: str, processes: int, share: Share) -> None:
    """Train a stage unless it is finished: here, or in processes of its own that share each batch."""
    stage = STAGES[name]
    if shop.finished(name):
        _say(shop, share, f"{name}: finished already, in {shop.stage(name)}")
    elif share.ranks == 1:
        with FolderLock(shop.stage(name)) as lock:
            if processes > 1 and stage.parallel:
                _launch(shop, name, processes, lock)
            else:
                _say(shop, share, f"{name}: {stage.summary}")
                stage.train(shop)
    elif stage.parallel or share.rank == 0:
        _say(shop, share, f"{name}: {stage.summary}")
        stage.train(shop)
    wait_for_all()


def _say(shop: Workshop, share: Share, text: str) -> None:
    if share.rank == 0:
        shop.console.print(text)


def _launch(shop: Workshop, name: str, processes: int, lock: FolderLock) -> None:
    """The same command under torch's launcher, for one stage; the processor's cores are divided.

    Raises:
        FewstepError: where a process failed.
    """
    threads = max(1, torch.get_num_threads() // processes)
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = ["bench", "train", name, "--out", str(shop.folder), "--threads", str(threads)]
    if shop.seed:
        command += ["--seed", str(shop.seed)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    status = launched([sys.executable, "-m", *launcher, "-m", *command], environment, lock)
    if status:
        raise FewstepError(f"training {name} in {processes} processes ended with {status}; see above")


def _check_seed(targets: list[str], seed: int) -> None:
    """Raise UsageError for a seed that is not possible, or a target that has no repetitions."""
    if seed < 0:
        raise UsageError(f"--seed {seed}: 0 or more")
    if seed and (wrong := [name for name in targets if name not in SEEDED]):
        known = ", ".join(sorted(SEEDED))
        raise UsageError(f"--seed {seed}: {wrong[0]} is trained once; there are repetitions of {known}")


def ordered(targets: list[str]) -> list[str]:
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
        print(f"{name:14} {state:8} {stage.summary}{_cost(shop, name)}")
    print(f"{PACK:14} {'':8} pack everything into {ZOO}")


def _cost(shop: Workshop, name: str) -> str:
    """What a finished training has spent, in the currencies that its note counts."""
    if not shop.finished(name):
        return ""
    note = shop.note(name)
    words = ((key, key.replace("_", " ").removeprefix("teacher ")) for key in CURRENCIES)
    spent = ", ".join(f"{note[key]:,.0f} {word}" for key, word in words if key in note)
    return f" ({spent})" if spent else ""
