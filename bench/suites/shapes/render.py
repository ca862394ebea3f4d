"""Draw scenes: signed distances, analytic anti-aliasing, vectorised over a batch.

A shape is a signed distance in its own frame (circumradius about 1); coverage of a pixel is `clamp(1/2 - distance)`
with the distance in pixels. Only the shapes that occur are evaluated, each once for all its objects.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from bench.suites.shapes import vocabulary as words
from bench.suites.shapes.scenes import Scenes

COLOURS = torch.tensor(
    [[222, 40, 50], [245, 130, 30], [248, 214, 40], [40, 165, 75], [40, 90, 225], [150, 60, 195]], dtype=torch.float32
)
"""float32 (6, 3), 0..255, in the order of `vocabulary.COLOURS`."""

_BACKGROUND_FROM = torch.tensor([[250, 250, 250], [24, 24, 30], [224, 202, 164], [188, 220, 245]], dtype=torch.float32)
_BACKGROUND_TO = torch.tensor([[238, 238, 240], [10, 10, 14], [206, 180, 140], [232, 244, 252]], dtype=torch.float32)
_STRIPE_PERIOD = 4.0  # pixels


def render(scenes: Scenes) -> Tensor:
    """uint8 (N, 3, 32, 32) RGB."""
    canvas = _backgrounds(scenes)
    for slot in range(words.MAX_OBJECTS):
        rows = (slot < scenes.count).nonzero()[:, 0]
        if len(rows):
            canvas[rows] = _paint(canvas[rows], scenes, rows, slot)
    return canvas.round_().clamp_(0, 255).to(torch.uint8)


def _backgrounds(scenes: Scenes) -> Tensor:
    """float32 (N, 3, H, W): a gentle vertical gradient whose strength and offset vary."""
    side = words.IMAGE_SIZE
    t = (torch.arange(side) + 0.5) / side
    strength = (0.4 + 0.6 * scenes.tint[:, :1]) * t + 0.3 * scenes.tint[:, 1:]
    start, end = _BACKGROUND_FROM[scenes.background], _BACKGROUND_TO[scenes.background]
    column = start[:, :, None] + (end - start)[:, :, None] * strength[:, None, :]
    return column[..., None].expand(-1, -1, -1, side).clone()


def _paint(canvas: Tensor, scenes: Scenes, rows: Tensor, slot: int) -> Tensor:
    """`canvas` with object `slot` of `rows` on it."""
    radius = scenes.radius[rows, slot][:, None, None]
    u, v = _object_frame(scenes, rows, slot)
    distance = torch.empty_like(u)
    for index, name in enumerate(words.SHAPES):
        of_shape = scenes.shape[rows, slot] == index
        if of_shape.any():
            distance[of_shape] = DISTANCES[name](u[of_shape], v[of_shape])
    coverage = (0.5 - distance * radius).clamp_(0, 1)[:, None]
    ink = _ink(COLOURS[scenes.colour[rows, slot]], scenes.texture[rows, slot], u, v * radius)
    return canvas + coverage * (ink - canvas)


def _object_frame(scenes: Scenes, rows: Tensor, slot: int) -> tuple[Tensor, Tensor]:
    """Pixel centres in the object's own frame, in units of its radius: float32 (N, H, W) twice."""
    pixel = torch.arange(words.IMAGE_SIZE) + 0.5
    radius = scenes.radius[rows, slot][:, None]
    dx = (pixel - scenes.x[rows, slot][:, None]) / radius
    dy = (pixel - scenes.y[rows, slot][:, None]) / radius
    cos = scenes.rotation[rows, slot].cos()[:, None, None]
    sin = scenes.rotation[rows, slot].sin()[:, None, None]
    return dx[:, None, :] * cos + dy[:, :, None] * sin, dy[:, :, None] * cos - dx[:, None, :] * sin


def _ink(colour: Tensor, texture: Tensor, u: Tensor, v_pixels: Tensor) -> Tensor:
    """float32 (N, 3, H, W): solid; striped with a darker shade; shaded from the colour towards white."""
    stripe = (0.5 + 1.2 * (v_pixels * (2 * math.pi / _STRIPE_PERIOD)).sin()).clamp_(0, 1)
    shade = (0.5 + 0.5 * u).clamp_(0, 1)
    darker = torch.where((texture == 1)[:, None, None], 0.62 * stripe, torch.zeros(()))[:, None]
    lighter = torch.where((texture == 2)[:, None, None], 0.8 * shade, torch.zeros(()))[:, None]
    solid = colour[:, :, None, None]
    return solid * (1 - darker) + (255 - solid) * lighter


def _circle(u: Tensor, v: Tensor) -> Tensor:
    return (u * u + v * v).sqrt() - 0.92


def _square(u: Tensor, v: Tensor) -> Tensor:
    return torch.maximum(u.abs(), v.abs()) - 0.76


def _triangle(u: Tensor, v: Tensor) -> Tensor:
    return torch.maximum(v, u.abs() * math.sqrt(0.75) - 0.5 * v) - 0.54


def _star(u: Tensor, v: Tensor) -> Tensor:
    angle = torch.atan2(v, u)
    fifth = 2 * math.pi / 5
    folded = (torch.remainder(angle, fifth) - fifth / 2).abs()  # 0 in a valley, pi/5 at a tip
    r = (u * u + v * v).sqrt()
    return _edge(r * folded.cos(), r * folded.sin(), valley=0.48, tip=1.08, half_angle=fifth / 2)


def _edge(x: Tensor, y: Tensor, *, valley: float, tip: float, half_angle: float) -> Tensor:
    """Signed distance to the line through (valley, 0) and the tip at `half_angle`, positive outside."""
    tip_x, tip_y = tip * math.cos(half_angle), tip * math.sin(half_angle)
    along = math.hypot(tip_x - valley, tip_y)
    return ((x - valley) * tip_y - y * (tip_x - valley)) / along


def _cross(u: Tensor, v: Tensor) -> Tensor:
    a, b = u.abs(), v.abs()
    return torch.minimum(torch.maximum(a - 0.98, b - 0.34), torch.maximum(a - 0.34, b - 0.98))


def _moon(u: Tensor, v: Tensor) -> Tensor:
    bite = 0.78 - ((u - 0.55) ** 2 + v * v).sqrt()
    return torch.maximum((u * u + v * v).sqrt() - 1.0, bite)


DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "moon": _moon,
}
"""Signed distance of each shape in units of its radius, negative inside."""
