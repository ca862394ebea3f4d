"""Is a run what its records say? Hashes of the images and weights again, and slices of images made again.

Images are compared in slices, as they were sampled: on the machine, the versions and the threads of the record they are
the same to the byte. Elsewhere kernels round otherwise, and an image may differ by one level of 255 in a thousandth of
its values.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from bench import registry
from bench.errors import FewstepError
from bench.images import HASHES, ImageStore, file_digest
from bench.judging import Prompt, images_of
from bench.numerics import fixed_numerics
from bench.plan import Plan
from bench.record import Record
from bench.runner import Loaded, Loader, make_loader
from bench.sampling import requests_of
from bench.slices import parts
from bench.suites.interface import Suite

LEVELS = 1
SHARE = 1e-3

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Draw:
    """A slice to make again: of which record, and which of its slices."""

    record: Record
    index: int


def check_hashes(records: Sequence[Record], folder: Path) -> Iterator[str]:
    """One line about each record whose images are not those it was made from.

    Args:
        records: measured cells.
        folder: of the run, with the images.
    """
    for record in records:
        yield from _image_problems(record, folder / "images" / record.cell.name)


def _image_problems(record: Record, folder: Path) -> Iterator[str]:
    name, expected = record.cell.name, record.provenance.get("images")
    if expected is None:
        yield f"{name}: the record has no hash of its images; measure it again with --force"
        return
    try:
        listing = (folder / HASHES).read_bytes()
    except OSError:
        yield f"{name}: {HASHES} of its images is missing; measure it again with --force"
        return
    if hashlib.sha256(listing).hexdigest() != expected:
        yield f"{name}: {HASHES} is not the list that the record was made with"
        return
    for line in listing.decode().splitlines():
        digest, _, image = line.partition("  ")
        path = folder / image
        if not path.is_file():
            yield f"{name}: {image} is missing"
        elif file_digest(path) != digest:
            yield f"{name}: {image} is not the image that was measured"


def draw(records: Sequence[Record], count: int, seed: int) -> list[Draw]:
    """`count` different slices of all records, or all there are, in the order of the records."""
    whole = [
        Draw(record, index)
        for record in records
        for index in range(-(-record.cell.limit * record.cell.images_per_prompt // record.cell.batch_size))
    ]
    chosen = set(random.Random(seed).sample(range(len(whole)), min(count, len(whole))))
    return [item for place, item in enumerate(whole) if place in chosen]


def check_again(plan: Plan, drawn: Sequence[Draw], tell: Tell) -> Iterator[str]:
    """One line about each drawn slice of `plan` that comes out otherwise, or cannot be made."""
    suite = cast(Suite, registry.make_suite(*plan.source))
    load = make_loader(plan, suite)
    prompts = images_of(suite.prompts(plan.limit), plan.cells[0].images_per_prompt)
    with torch.no_grad(), fixed_numerics(plan.cells[0].device):
        for item in drawn:
            tell(f"{item.record.cell.name}: slice {item.index}")
            yield from _slice_problems(plan, load, prompts, item)


def _slice_problems(plan: Plan, load: Loader, prompts: Sequence[Prompt], item: Draw) -> Iterator[str]:
    cell, name = item.record.cell, item.record.cell.name
    try:
        loaded = load(cell)
    except FewstepError as error:
        yield f"{name}: cannot be made again: {error}"
        return
    if loaded.weights != item.record.provenance.get("weights"):
        yield (
            f"{name}: weights {loaded.weights[:12]} are not those of the record,"
            f" {str(item.record.provenance.get('weights'))[:12]}"
        )
        return
    members = prompts[item.index * cell.batch_size :][: cell.batch_size]
    made = _sample(loaded, item, prompts)
    stored = ImageStore(plan.out.images(cell)).read(members)
    if stored.shape != made.shape:
        yield f"{name}: images are {tuple(stored.shape[1:])}, and {tuple(made.shape[1:])} when made again"
        return
    for prompt, old, new in zip(members, stored, made, strict=True):
        if (difference := differs(old, new)) is not None:
            yield f"{name}: {prompt.stem}.png differs when it is made again: {difference}"


def _sample(loaded: Loaded, item: Draw, prompts: Sequence[Prompt]) -> Tensor:
    """The slice, in as many calls as it was made in."""
    cell = item.record.cell
    request = requests_of(replace(cell), prompts, cell.batch_size)[item.index]
    halved = item.record.provenance.get("halved", {})
    at_once = next((int(size) for size, slices in halved.items() if item.index in slices), cell.batch_size)
    return torch.cat([loaded.method.sample(part) for part in parts(request, at_once)])


def differs(old: Tensor, new: Tensor) -> str | None:
    """How two uint8 images of one shape differ by more than rounding does; None where they do not."""
    distance = (old.int() - new.int()).abs()
    share = float((distance > 0).double().mean())
    if int(distance.max()) <= LEVELS and share <= SHARE:
        return None
    return f"{share:.2%} of its values, by up to {int(distance.max())} of 255"
