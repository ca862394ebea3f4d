"""Train a student from a teacher of any size on captioned images: the same objectives and the same loop as everywhere.

Under `accelerate launch` (or `torchrun`) each process has its share of every batch. What a step computes does not
depend on the number of processes, on the accumulation, or on where a training was stopped and gone on with.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from rich.console import Console

from bench.errors import UsageError
from bench.fullscale.batches import Ahead, Batches
from bench.fullscale.checkpoint import CHECKPOINT, check_begun, trained_steps, write_checkpoint
from bench.fullscale.data import Sample, read_samples
from bench.fullscale.encode import Encodings, encode_missing
from bench.fullscale.grid import sampler
from bench.fullscale.request import FullScale
from bench.fullscale.students import STUDENTS, Made, Stage
from bench.fullscale.teacher import load_teacher, part_hash, teacher_folder
from bench.training.order import Order
from bench.training.workshop import Workshop, machine, versions
from methods.distill.compute import Compute, place
from methods.distill.parallel import current_share, wait_for_all

_PATIENCE = timedelta(days=1)  # the others wait while the first samples a grid or writes a checkpoint
_SPEAK_EVERY = 10.0  # seconds
_SHOWN = 4


def train_full_scale(request: FullScale, console: Console) -> Path:
    """Train as `request` says and return the folder of the finished checkpoint, the last one of several rounds.

    Raises:
        UsageError: for a request that does not fit the data, the processes, or what `out` was begun with.
        FewstepError: naming the image, caption, or weights that cannot be used.
    """
    with _processes() as state:
        share = current_share()
        console.quiet = share.rank > 0
        micro_batch = request.micro_batch(share.ranks)
        samples = read_samples(_data(request))
        with state.local_main_process_first():
            folder = teacher_folder(request.teacher)
        shop = Workshop(request.out, console)
        encodings = _begin(request, shop.stage(request.method), folder, samples)
        console.print(
            f"{request.method}: {len(samples):,} images of {request.data}, teacher {folder}; a batch of"
            f" {request.batch_size} is {share.ranks} processes x {request.accumulation} x {micro_batch}",
            soft_wrap=True,
        )
        for stage in STUDENTS[request.method]:
            finished = shop.stage(stage.name) / CHECKPOINT
            if trained_steps(shop.stage(stage.name)) == request.steps:
                console.print(f"{stage.name}: finished already, in {finished}", soft_wrap=True)
                continue
            teacher = folder if stage.taught_by is None else shop.stage(stage.taught_by) / CHECKPOINT
            _train(request, stage, shop, teacher, samples, encodings, state.device)
        return finished


def _train(
    request: FullScale,
    stage: Stage,
    shop: Workshop,
    folder: Path,
    samples: list[Sample],
    encodings: Encodings,
    device: torch.device,
) -> None:
    """Encode what is missing, then train from the teacher in `folder`, then write the checkpoint."""
    compute = _compute(request, device)
    order = Order(len(samples), request.seed)
    needed = [samples[index] for index in order.needed(request.steps * request.batch_size)]
    pipe = load_teacher(folder)
    encode_missing(encodings, needed, pipe, device, _speaker(shop.console))
    pipe.text_encoder = pipe.text_encoder_2 = None  # what they gave is on disk
    torch.manual_seed(request.seed)
    made = stage.make(pipe, request, compute.autocast or torch.float32)
    place(made.objective, device)
    pipe.vae.to(device)
    shown = [encodings.of(sample) for sample in islice(needed, _SHOWN)]
    batches = Ahead(
        Batches(samples, encodings, order, request.batch_size, with_pixels=made.pixels), request.steps
    )  # fmt: skip
    try:
        averages, note = shop.run(
            stage.name, made.objective, batches, made.config, compute=compute,
            data=f"{len(samples)} images of {request.data}", grid=sampler(pipe, made, shown, compute),
            measure_every=request.checkpoint_every, enlarged=1,
        )  # fmt: skip
    finally:
        batches.close()
    if current_share().rank == 0:
        note = _note(request, made, note, compute)
        write_checkpoint(shop.stage(stage.name), folder, averages["student"], made.recipe, note)
    wait_for_all()


@contextmanager
def _processes() -> Iterator[PartialState]:
    """Join the launcher's processes for the length of a `with`; accelerate knows each one's device."""
    joined = torch.distributed.is_initialized()
    state = PartialState(timeout=_PATIENCE)
    try:
        yield state
    finally:
        if not joined:
            state.destroy_process_group()


def _data(request: FullScale) -> Path:
    if request.data is None:
        raise UsageError("--teacher without --data; give the folder of images with captions to train on")
    return request.data


def _compute(request: FullScale, device: torch.device) -> Compute:
    dtype = request.dtype or ("float32" if device.type == "cpu" else "bfloat16")
    return Compute(device, torch.bfloat16 if dtype == "bfloat16" else None, request.accumulation)


def _begin(request: FullScale, stage: Path, folder: Path, samples: list[Sample]) -> Encodings:
    """The cache of encodings; a training that was begun with something else is refused."""
    share = current_share()
    vae = part_hash(folder, "vae")
    text = part_hash(folder, "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")
    names = hashlib.sha256("\n".join(f"{sample.name}\t{sample.caption}" for sample in samples).encode()).hexdigest()
    begun = {
        "teacher": part_hash(folder, "unet", "scheduler"),
        "vae": vae,
        "text": text,
        "samples": names,
        "resolution": request.resolution,
        "batch_size": request.batch_size,
        "features": request.features if request.method == "add" else None,
        "seed": request.seed,
        "steps": request.steps if len(STUDENTS[request.method]) > 1 else None,  # each round goes on from a finished one
    }
    check_begun(stage, begun, write=share.rank == 0)
    return Encodings(request.out / "cache", vae=vae, text=text, resolution=request.resolution, share=share)


def _note(request: FullScale, made: Made, note: dict[str, Any], compute: Compute) -> dict[str, Any]:
    """What made the checkpoint."""
    return {
        **note,
        **made.note,
        "request": {name: str(value) if isinstance(value, Path) else value for name, value in asdict(request).items()},
        "steps": request.steps,
        "autocast": str(compute.autocast),
        "versions": versions(),
        "machine": machine(),
    }


def _speaker(console: Console) -> Any:
    """Prints progress now and then, with the time left."""
    began = last = time.monotonic()

    def said(text: str) -> None:
        nonlocal last
        now = time.monotonic()
        kind, _, counts = text.partition(" ")
        done, total = (int(part) for part in counts.split("/"))
        if now - last >= _SPEAK_EVERY or done == total:
            last = now
            console.print(f"encoding {kind} {done:,}/{total:,}, {(now - began) / done * (total - done):.0f} s left")

    return said
