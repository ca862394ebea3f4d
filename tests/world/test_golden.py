"""The world does not change unnoticed: every stored number was measured on these pictures."""

from __future__ import annotations

from torch import Tensor

from bench.suites.shapes.render import render
from bench.suites.shapes.scenes import make_scenes
from tests.world.golden import sheet, stored


def differs(a: Tensor, b: Tensor) -> bool:
    """More than rounding: sine, cosine and arc tangent differ in the last bit between processors, which moves a pixel
    that falls between two levels by one, and few pixels do."""
    difference = (a.int() - b.int()).abs()
    return bool(difference.max() > 1 or (difference > 0).float().mean() > 0.001)


def test_pictures_are_the_stored_ones() -> None:
    assert not differs(sheet(), stored())


def test_the_comparison_sees_another_picture() -> None:
    other = sheet()
    other[:32, :32] = render(make_scenes("train", [100]))[0].permute(1, 2, 0)
    assert differs(other, stored())
    brighter = (sheet().int() + 1).clamp(max=255)
    assert differs(brighter, stored())
