"""Sampling a cell: its fixed slices, those of which an image is missing, and what is known about all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor

from bench.errors import FewstepError
from bench.images import ImageStore, ImageWriter
from bench.judging import Prompt, image_seed
from bench.measure import Measured, throughput
from bench.record import Cell, Record
from bench.slices import HalvingSampler, Slice, SliceLog, halved, place_key
from methods.interface import Method, SampleRequest

Place = Mapping[str, str | int]


class Observer(Protocol):
    """What a run tells the outside while it works."""

    def cell(self, cell: Cell, images: int) -> None:
        """`cell` begins and has `images` images to go through."""

    def images(self, count: int, *, kept: bool) -> None:
        """`count` more images are there; `kept` from an earlier run, or sampled now."""

    def stage(self, text: str) -> None:
        """What the cell does now, in a word or two."""

    def done(self, record: Record) -> None:
        """The cell's record is written."""


class Unobserved:
    """Tells nobody anything."""

    def cell(self, cell: Cell, images: int) -> None:
        """Nothing."""

    def images(self, count: int, *, kept: bool) -> None:
        """Nothing."""

    def stage(self, text: str) -> None:
        """Nothing."""

    def done(self, record: Record) -> None:
        """Nothing."""


def requests_of(cell: Cell, prompts: Sequence[Prompt], size: int) -> list[SampleRequest]:
    """The slices that a cell is always sampled in, `size` images each, wherever a run begins or resumes.

    `prompts` has one entry an image, as `images_of` gives them.
    """
    per_prompt = cell.images_per_prompt
    return [
        SampleRequest(
            prompts=tuple(prompt.text for prompt in prompts[start : start + size]),
            seeds=tuple(
                image_seed(cell.seed, (start + k) // per_prompt, prompt.sample)
                for k, prompt in enumerate(prompts[start : start + size])
            ),
            num_inference_steps=cell.num_inference_steps,
            guidance_scale=cell.guidance_scale,
        )
        for start in range(0, len(prompts), size)
    ]


def sample_cell(
    cell: Cell, prompts: Sequence[Prompt], method: Method, store: ImageStore, place: Place, observer: Observer
) -> Measured:
    """Sample every slice of which an image is missing.

    Returns:
        The throughput of the slices sampled in this place with the same number of images at once.

    Raises:
        FewstepError: for what is no image, or where there is no memory for one.
    """
    log, here = SliceLog(store.folder), place_key(place)
    sampler = HalvingSampler(method, min([cell.batch_size, *(item.at_once for item in log.read().values())]))
    with ImageWriter(store, background=cell.device != "cpu") as writer:
        for index, request in enumerate(requests_of(cell, prompts, cell.batch_size)):
            members = prompts[index * cell.batch_size :][: cell.batch_size]
            kept = all(store.has(prompt) for prompt in members)
            if not kept:
                images, seconds = sampler.sample(request)
                _check_images(images, members, cell.dtype)
                log.add(Slice(index, seconds, sampler.at_once, here))
                writer.write(members, images)
            observer.images(len(members), kept=kept)
    counted = [item for item in log.read().values() if item.place == here and item.at_once == sampler.at_once]
    counts = [min(cell.batch_size, len(prompts) - item.index * cell.batch_size) for item in counted]
    return throughput([item.seconds for item in counted], counts, replace(cell, batch_size=sampler.at_once), place)


def slice_facts(cell: Cell, store: ImageStore, place: Place) -> dict[str, Any]:
    """What a record says about slices out of the ordinary, which most cells have none of.

    `halved` maps how many images were sampled at once, where memory did not do for the batch size, to the slices
    sampled so; `sampled_elsewhere` lists those that a run before this one sampled on another machine or in other
    threads.
    """
    slices, here = SliceLog(store.folder).read(), place_key(place)
    facts: dict[str, Any] = {}
    if smaller := halved(slices, cell.batch_size):
        facts["halved"] = smaller
    if elsewhere := [index for index, item in slices.items() if item.place != here]:
        facts["sampled_elsewhere"] = elsewhere
    return facts


def _check_images(images: Tensor, prompts: Sequence[Prompt], dtype: str) -> None:
    """Refuse what is no image, and the black ones that a decoder gives where half precision overflows in it."""
    count = len(prompts)
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[:2] != (count, 3):
        found = f"{images.dtype} {tuple(images.shape)}"
        raise FewstepError(f"the method's `sample` gave {found}; uint8 ({count}, 3, H, W) is due")
    black = [prompt.id for prompt, image in zip(prompts, images, strict=True) if not bool(image.any())]
    if black and dtype != "float32":
        raise FewstepError(
            f"the image of prompt {black[0]} is all black: the VAE's decoder overflows in {dtype}; use --dtype float32 "
            "or bfloat16, or a VAE made for half precision"
        )
