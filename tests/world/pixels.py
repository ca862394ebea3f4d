"""Read objects off rendered pixels: where they are, how much of each pixel they cover."""

from __future__ import annotations

from dataclasses import fields

import torch
from torch import Tensor

from bench.suites.shapes.render import COLOURS, render
from bench.suites.shapes.scenes import Scenes


def alone(scenes: Scenes, slot: int) -> Scenes:
    """The same scenes with object `slot`, untextured, and nothing else."""
    changes = {}
    for name in (field.name for field in fields(scenes)):
        value = getattr(scenes, name)
        if value.ndim == 2 and name != "tint":
            changes[name] = value.roll(-slot, dims=1)
    changes["texture"] = torch.zeros_like(scenes.texture)
    return scenes.with_(**changes, count=torch.ones_like(scenes.count))


def empty(scenes: Scenes) -> Scenes:
    """The same scenes without their objects."""
    return scenes.with_(count=torch.zeros_like(scenes.count))


def coverage(scenes: Scenes, slot: int) -> Tensor:
    """float32 (N, H, W): the share of each pixel that object `slot` covers, from pixels.

    A solid object mixes its colour into the background in proportion to its coverage; the channel in which the two
    differ most gives it to within one level in about a hundred.
    """
    before = render(empty(scenes)).float()
    after = render(alone(scenes, slot)).float()
    ink = COLOURS[scenes.colour[:, slot]][:, :, None, None].expand_as(before)
    channel = (ink - before).abs().flatten(2).sum(dim=2).argmax(dim=1)
    rows = torch.arange(len(scenes))
    return (after - before)[rows, channel] / (ink - before)[rows, channel]


def one_object(shape: int, *, x: float = 16.0, y: float = 16.0, radius: float = 7.0, rotation: float = 0.0) -> Scenes:
    """One solid red object on an even black background."""
    slots = torch.zeros(1, 3)
    whole = torch.zeros(1, dtype=torch.int64)
    return Scenes(
        count=whole + 1,
        shape=slots.long() + shape,
        colour=slots.long(),
        texture=slots.long(),
        size=slots.long(),
        x=slots + x,
        y=slots + y,
        radius=slots + radius,
        rotation=slots + rotation,
        background=whole + 1,
        tint=torch.zeros(1, 2),
        relation=whole - 1,
        names_texture=whole.bool(),
        names_size=whole.bool(),
        names_background=whole.bool(),
    )
