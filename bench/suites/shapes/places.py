"""Where objects are and what they look like, as the recogniser, the CLIP judge and the eye learn it.

An image is a grid of places of `stride` pixels; the place that an object's centre lies in tells what the object is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.suites.shapes import vocabulary as words
from bench.suites.shapes.scenes import Scenes

ATTRIBUTES: Mapping[str, int] = {
    "shape": len(words.SHAPES),
    "colour": len(words.COLOURS),
    "texture": len(words.TEXTURES),
    "size": len(words.SIZES),
}
"""Attribute -> how many values it has, in the order of the logits; the names are fields of `Scenes`."""


class Centres(NamedTuple):
    """Every object of a batch of scenes: int64 (R,) each, its scene, its slot and the place of its centre."""

    row: Tensor
    slot: Tensor
    y: Tensor
    x: Tensor


def centres(scenes: Scenes, stride: int) -> Centres:
    """The objects of `scenes`, scene by scene, on a grid of places of `stride` pixels."""
    row, slot = scenes.used.nonzero(as_tuple=True)
    return Centres(row, slot, (scenes.y[row, slot] / stride).long(), (scenes.x[row, slot] / stride).long())


def by_attribute(logits: Tensor) -> dict[str, Tensor]:
    """(N, 17, ...) -> the logits of each attribute, (N, K, ...)."""
    return dict(zip(ATTRIBUTES, torch.split(logits, list(ATTRIBUTES.values()), dim=1), strict=True))


def presence_loss(logits: Tensor, at: Centres) -> Tensor:
    """Binary cross entropy of "a centre is here", summed over all places (N, Y, X), for each object of `at`."""
    present = torch.zeros_like(logits)
    present[at.row, at.y, at.x] = 1
    return F.binary_cross_entropy_with_logits(logits, present, reduction="sum") / len(at.row)


def attribute_losses(logits: Mapping[str, Tensor], scenes: Scenes, at: Centres) -> dict[str, Tensor]:
    """Cross entropy of each attribute; its logits are (R, K), a row for each object of `at`."""
    return {name: F.cross_entropy(logits[name], getattr(scenes, name)[at.row, at.slot]) for name in ATTRIBUTES}
