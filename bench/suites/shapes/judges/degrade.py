"""Known damage: pairs of images of which the better one is known, because the other was degraded by a known amount."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.suites.shapes import vocabulary as words
from bench.suites.shapes.render import render
from bench.suites.shapes.scenes import Scenes

KINDS = ("blur", "noise", "colour shift", "wrong attribute", "missing object")
SMALLEST = 0.25
"""The least amount of damage in a pair, as a share of the most: less cannot be seen."""


def degraded(scenes: Scenes, kind: Tensor, amount: Tensor, rng: torch.Generator) -> Tensor:
    """uint8 (N, 3, 32, 32): pictures of `scenes`, image i damaged by `KINDS[kind[i]]` to `amount[i]` in 0..1.

    A wrong attribute and a missing object are all or nothing: their amount only has to be above zero.
    """
    hurt = amount > 0
    edited = _wrong_attribute(scenes, (kind == 3) & hurt, rng)
    images = render(_without_object(edited, (kind == 4) & hurt, rng)).float()
    images = torch.where(_rows(kind == 0), _blurred(images, amount), images)
    noise = torch.randn(images.shape, generator=rng) * _rows(8 + 48 * amount)
    images = torch.where(_rows((kind == 1) & hurt), images + noise, images)
    direction = F.normalize(torch.randn(len(images), 3, generator=rng), dim=1)
    shift = direction[:, :, None, None] * _rows(20 + 80 * amount)
    images = torch.where(_rows((kind == 2) & hurt), images + shift, images)
    return images.round().clamp(0, 255).to(torch.uint8)


def _blurred(images: Tensor, amount: Tensor) -> Tensor:
    """Gaussian blur of standard deviation 2.5 * amount pixels, per image; weights are renormalised at the edges."""
    place = torch.arange(words.IMAGE_SIZE).float()
    deviation = (2.5 * amount).clamp_min(1e-2)[:, None, None]
    weight = torch.exp(-0.5 * ((place[:, None] - place) / deviation) ** 2)
    weight = (weight / weight.sum(dim=2, keepdim=True))[:, None]
    return weight @ images @ weight.transpose(2, 3)


def _wrong_attribute(scenes: Scenes, where: Tensor, rng: torch.Generator) -> Scenes:
    """Change the shape or the colour of one object to another value."""
    n = len(scenes)
    slot = (torch.rand(n, generator=rng) * scenes.count).long()
    of_shape = torch.rand(n, generator=rng) < 0.5
    step = 1 + torch.randint(5, (n,), generator=rng)
    target = torch.arange(words.MAX_OBJECTS) == slot[:, None]
    change_shape = target & (where & of_shape)[:, None]
    change_colour = target & (where & ~of_shape)[:, None]
    return scenes.with_(
        shape=torch.where(change_shape, (scenes.shape + step[:, None]) % len(words.SHAPES), scenes.shape),
        colour=torch.where(change_colour, (scenes.colour + step[:, None]) % len(words.COLOURS), scenes.colour),
    )


def _without_object(scenes: Scenes, where: Tensor, rng: torch.Generator) -> Scenes:
    """Leave one object out, moved beyond the frame so that the others keep their places."""
    slot = (torch.rand(len(scenes), generator=rng) * scenes.count).long()
    gone = (torch.arange(words.MAX_OBJECTS) == slot[:, None]) & where[:, None]
    return scenes.with_(x=torch.where(gone, torch.tensor(math.copysign(100.0, -1)), scenes.x))


def _rows(values: Tensor) -> Tensor:
    return values[:, None, None, None]
