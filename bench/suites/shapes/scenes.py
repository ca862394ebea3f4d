"""Scenes: what is in image i of a split, as a pure function of (split, i).

Randomness is a counter-based hash (splitmix64, Steele et al. 2014), not a stream: a scene needs no other scene, so any
range of any split can be made on its own, in any order, vectorised.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from bench.suites.shapes import vocabulary as words

SPLITS = {"train": 1, "validation": 2, "test": 3, "held-out": 4, "judge-train": 5, "judge-validation": 6}
"""Split name -> seed. `held-out` shows only the colour-shape pairs that train, validation and test never show; the two
judge splits show all pairs and turn objects by any angle, so that a judge can grade what a generator never saw."""

WORLD = 2
"""Raised whenever a split's pictures change: what was computed from them is then computed again."""

TILT = 0.3
"""Radians by which an object leans to either side at most, outside the judge splits."""

_DRAWS = 64  # random numbers reserved for one scene


@dataclass(frozen=True)
class Scenes:
    """A batch of N scenes with M = 3 object slots, of which the first `count` are used.

    `shape colour texture size` are int64 (N, M) indices into the vocabulary; `x y` pixel centres, `radius` pixels and
    `rotation` radians are float32 (N, M); `background count relation` are int64 (N,), relation -1 being none. The
    `names_*` masks say what the caption mentions; `tint` (N, 2) varies the background.
    """

    count: Tensor
    shape: Tensor
    colour: Tensor
    texture: Tensor
    size: Tensor
    x: Tensor
    y: Tensor
    radius: Tensor
    rotation: Tensor
    background: Tensor
    tint: Tensor
    relation: Tensor
    names_texture: Tensor
    names_size: Tensor
    names_background: Tensor

    def __len__(self) -> int:
        return len(self.count)

    def __getitem__(self, index: Tensor | slice) -> Scenes:
        return Scenes(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    def with_(self, **changes: Tensor) -> Scenes:
        """The same scenes with some tensors replaced."""
        return replace(self, **changes)

    @property
    def used(self) -> Tensor:
        """bool (N, M): which object slots are drawn."""
        return torch.arange(words.MAX_OBJECTS) < self.count[:, None]


def make_scenes(split: str, indices: Sequence[int] | Tensor) -> Scenes:
    """The scenes `indices` of `split`.

    Raises:
        ValueError: for an unknown split.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; there are {', '.join(SPLITS)}")
    index = torch.as_tensor(indices, dtype=torch.int64).reshape(-1)
    draw = _Draws(SPLITS[split], index)
    count = 1 + draw.integers(3)
    shape, colour = _distinct_pairs(draw, _allowed_pairs(split))
    return _complete(draw, count, shape, colour, (0.0, 2 * math.pi) if split.startswith("judge") else (-TILT, TILT))


def redrawn(scenes: Scenes, seed: int) -> Scenes:
    """Other pictures of the same captions: what a caption names is kept, everything else is drawn again from `seed`,
    turned by any angle."""
    draw = _Draws(seed + 1000, torch.arange(len(scenes)))
    return _complete(draw, scenes.count, scenes.shape, scenes.colour, (0.0, 2 * math.pi), scenes)


def _complete(
    draw: _Draws,
    count: Tensor,
    shape: Tensor,
    colour: Tensor,
    rotations: tuple[float, float],
    named: Scenes | None = None,
) -> Scenes:
    """Draw all that is left; with `named`, what its captions name is taken from it instead."""
    slots = words.MAX_OBJECTS
    texture = draw.integers(len(words.TEXTURES), slots)
    size = draw.integers(len(words.SIZES), slots)
    if named is not None:
        texture = torch.where(named.names_texture[:, None], named.texture, texture)
        size = torch.where(named.names_size[:, None], named.size, size)
    radius = torch.where(size == 0, 4.9 + 0.5 * draw.uniform(slots), 6.9 + 0.6 * draw.uniform(slots))
    rotation = rotations[0] + (rotations[1] - rotations[0]) * draw.uniform(slots)
    relation = torch.where((count == 2) & (draw.uniform() < 0.6), draw.integers(2), torch.tensor(-1))
    relation = relation if named is None else named.relation
    x, y = _layout(draw, count, radius, relation)
    background, tint = draw.integers(len(words.BACKGROUNDS)), draw.uniform(2)
    names_texture, names_size, names_background = (draw.uniform() < 0.3 for _ in range(3))
    if named is not None:
        background = torch.where(named.names_background, named.background, background)
        names_texture, names_size, names_background = named.names_texture, named.names_size, named.names_background
    return Scenes(
        count=count,
        shape=shape,
        colour=colour,
        texture=texture,
        size=size,
        x=x.float(),
        y=y.float(),
        radius=radius.float(),
        rotation=rotation.float(),
        background=background,
        tint=tint.float(),
        relation=relation,
        names_texture=names_texture,
        names_size=names_size,
        names_background=names_background,
    )


def _allowed_pairs(split: str) -> Tensor:
    """int64 (P,): shape * 6 + colour for every pair that the split may show."""
    held_out = [shape * len(words.COLOURS) + colour for shape, colour in words.HELD_OUT_PAIRS]
    everything = range(len(words.SHAPES) * len(words.COLOURS))
    if split == "held-out":
        return torch.tensor(held_out)
    if split.startswith("judge"):
        return torch.tensor(everything)
    return torch.tensor([pair for pair in everything if pair not in held_out])


def _distinct_pairs(draw: _Draws, allowed: Tensor) -> tuple[Tensor, Tensor]:
    """Three different (shape, colour) pairs a scene: int64 (N, 3) each."""
    n = len(allowed)
    first, second, third = draw.integers(n), draw.integers(n - 1), draw.integers(n - 2)
    second = second + (second >= first)
    low, high = torch.minimum(first, second), torch.maximum(first, second)
    third = third + (third >= low)
    third = third + (third >= high)
    pair = allowed[torch.stack([first, second, third], dim=1)]
    return pair // len(words.COLOURS), pair % len(words.COLOURS)


def _layout(draw: _Draws, count: Tensor, radius: Tensor, relation: Tensor) -> tuple[Tensor, Tensor]:
    """Centres (N, 3) such that nothing overlaps or leaves the frame: one object anywhere, two in opposite halves, three
    in three of the four quadrants."""
    side = words.IMAGE_SIZE
    u, v = draw.uniform(3), draw.uniform(3)
    vertical = torch.where(relation >= 0, relation == 1, draw.uniform() < 0.5)
    swapped = (relation < 0) & (draw.uniform() < 0.5)
    half = torch.stack([swapped, ~swapped, ~swapped], dim=1).long()
    quadrant = draw.uniform(4).argsort(dim=1)[:, :3]

    def spread(cell: Tensor, cells: Tensor | int, along: Tensor) -> Tensor:
        width = side / torch.as_tensor(cells)
        return cell * width + radius + along * (width - 2 * radius)

    two = (count == 2)[:, None]
    three = (count == 3)[:, None]
    cell_x = torch.where(three, quadrant % 2, torch.where(two & ~vertical[:, None], half, 0))
    cell_y = torch.where(three, quadrant // 2, torch.where(two & vertical[:, None], half, 0))
    cells_x = torch.where(three | (two & ~vertical[:, None]), 2, 1)
    cells_y = torch.where(three | (two & vertical[:, None]), 2, 1)
    return spread(cell_x, cells_x, u), spread(cell_y, cells_y, v)


class _Draws:
    """Numbers in [0, 1) that depend on (split seed, scene index, position of the draw) and on nothing else."""

    def __init__(self, seed: int, index: Tensor) -> None:
        self._base = _splitmix64(index + _splitmix64(torch.tensor(seed)))
        self._next = 0

    def uniform(self, width: int | None = None) -> Tensor:
        """float64 (N,) or (N, width)."""
        number = width or 1
        counter = torch.arange(self._next, self._next + number)
        self._next += number
        assert self._next <= _DRAWS
        bits = _splitmix64(self._base[:, None] * _DRAWS + counter)
        value = _shift(bits, 11).double() / 2**53
        return value if width else value[:, 0]

    def integers(self, n: int, width: int | None = None) -> Tensor:
        """int64 in 0..n-1, (N,) or (N, width)."""
        return (self.uniform(width) * n).long()


def _splitmix64(z: Tensor) -> Tensor:
    """One output of splitmix64 for each int64 state (two's complement, wrapping)."""
    z = z + _signed(0x9E3779B97F4A7C15)
    z = (z ^ _shift(z, 30)) * _signed(0xBF58476D1CE4E5B9)
    z = (z ^ _shift(z, 27)) * _signed(0x94D049BB133111EB)
    return z ^ _shift(z, 31)


def _shift(z: Tensor, bits: int) -> Tensor:
    """Logical right shift of int64."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value
