"""Pixels show what the scene says: place, colour, texture, size, shape; edges are smooth and symmetric."""

from __future__ import annotations

import colorsys
import math

import pytest
import torch
from torch import Tensor

from bench.suites.shapes import vocabulary as words
from bench.suites.shapes.render import COLOURS, DISTANCES, render
from bench.suites.shapes.scenes import Scenes, make_scenes
from tests.world.pixels import coverage, empty, one_object

MANY = 1500
SHAPES = pytest.mark.parametrize("shape", range(len(words.SHAPES)), ids=words.SHAPES)

DEEP = {"moon": (-0.615, 0.0)}
"""A point well inside each shape, in its own frame; the centre where nothing is said."""


def test_images_are_rgb_bytes() -> None:
    images = render(make_scenes("train", range(3)))
    assert images.shape == (3, 3, words.IMAGE_SIZE, words.IMAGE_SIZE)
    assert images.dtype == torch.uint8


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_an_image_does_not_depend_on_its_batch(batch: int) -> None:
    scenes = make_scenes("train", range(256))
    parts = [render(scenes[start : start + batch]) for start in range(0, 256, batch)]
    assert torch.equal(torch.cat(parts), render(scenes))


# Place


def test_objects_do_not_cover_each_other_or_leave_the_frame() -> None:
    scenes = make_scenes("test", range(MANY))
    covers = torch.stack([coverage(scenes, slot) for slot in range(words.MAX_OBJECTS)], 1)
    covers = covers * scenes.used[:, :, None, None]
    # Half covered is inside. Softly touched edge pixels may be shared.
    assert ((covers > 0.5).sum(dim=1) <= 1).all()
    area = covers.sum(dim=(2, 3))[scenes.used]
    expected = areas()[scenes.shape[scenes.used]] * scenes.radius[scenes.used] ** 2
    # Nothing is cut off: the whole area is there, within the error of anti-aliasing small shapes (see the area test).
    assert ((area / expected - 1).abs() < 0.06).all()


def test_the_area_check_sees_a_cut_object() -> None:
    cut = coverage(one_object(1, x=3.0, radius=7.0), 0).sum()
    assert cut < 0.94 * areas()[1] * 7.0**2


def test_objects_are_where_the_scene_says() -> None:
    scenes = make_scenes("test", range(MANY))
    rows = scenes.shape[:, 0] != words.SHAPES.index("moon")  # its centre of mass is off its centre
    cover = coverage(scenes, 0)[rows]
    pixel = torch.arange(words.IMAGE_SIZE) + 0.5
    total = cover.sum(dim=(1, 2))
    # A centre of mass over fifty pixels, each known to a hundredth: a tenth of a pixel is ample.
    assert ((cover.sum(dim=1) @ pixel / total - scenes.x[rows, 0]).abs() < 0.15).all()
    assert ((cover.sum(dim=2) @ pixel / total - scenes.y[rows, 0]).abs() < 0.15).all()


def test_relations_are_seen_in_the_picture() -> None:
    scenes = make_scenes("test", range(MANY))
    scenes = scenes[(scenes.relation >= 0).nonzero()[:, 0]]
    first, second = (coverage(scenes, slot) > 0.5 for slot in (0, 1))
    for row, relation in enumerate(scenes.relation.tolist()):
        axis = 1 - relation  # "left of" compares columns, "above" rows
        last = first[row].nonzero()[:, axis].max()
        assert last < second[row].nonzero()[:, axis].min()


# Colour, texture, background, size


def inside(scenes: Scenes) -> Tensor:
    """uint8 (N, 3): the pixel nearest to a point well inside object 0."""
    deep = torch.tensor([DEEP.get(name, (0.0, 0.0)) for name in words.SHAPES])[scenes.shape[:, 0]]
    cos, sin = scenes.rotation[:, 0].cos(), scenes.rotation[:, 0].sin()
    x = scenes.x[:, 0] + scenes.radius[:, 0] * (deep[:, 0] * cos - deep[:, 1] * sin)
    y = scenes.y[:, 0] + scenes.radius[:, 0] * (deep[:, 0] * sin + deep[:, 1] * cos)
    return render(scenes)[torch.arange(len(scenes)), :, y.long(), x.long()]


def test_solid_objects_have_their_colour() -> None:
    scenes = make_scenes("test", range(MANY))
    solid = scenes.texture[:, 0] == 0
    pixels = inside(scenes)
    assert torch.equal(pixels[solid], COLOURS[scenes.colour[solid, 0]].to(torch.uint8))
    wrong = COLOURS[(scenes.colour[solid, 0] + 1) % len(words.COLOURS)].to(torch.uint8)
    assert (pixels[solid] != wrong).any(dim=1).all()


def test_textures_darken_in_stripes_or_fade_to_white() -> None:
    scenes = make_scenes("test", range(MANY))
    pixels, colour = inside(scenes).float(), COLOURS[scenes.colour[:, 0]]
    striped, shaded = (scenes.texture[:, 0] == index for index in (1, 2))
    # One level is the rounding of a pixel.
    kept = pixels[striped].sum(1, keepdim=True) / colour[striped].sum(1, keepdim=True)
    assert ((pixels[striped] - kept * colour[striped]).abs() <= 1).all()
    assert kept.min() < 0.45
    assert kept.max() > 0.99
    white = ((pixels - colour).sum(1, keepdim=True) / (255 - colour).sum(1, keepdim=True))[shaded]
    assert ((pixels[shaded] - colour[shaded] - white * (255 - colour[shaded])).abs() <= 1).all()
    assert white.min() >= 0


def test_textures_look_different() -> None:
    scenes = make_scenes("test", range(200))
    drawn = [render(scenes.with_(texture=torch.full_like(scenes.texture, index))).float() for index in range(3)]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        difference = (drawn[a] - drawn[b]).abs().amax(dim=(1, 2, 3))
        assert (difference > 40).all()  # of 255: seen at a glance


@pytest.mark.parametrize(
    ("name", "degrees"),
    [("red", 0), ("orange", 28), ("yellow", 50), ("green", 140), ("blue", 222), ("purple", 280)],
)
def test_colours_are_what_people_call_them(name: str, degrees: float) -> None:
    hue, saturation, _ = colorsys.rgb_to_hsv(*(COLOURS[words.COLOURS.index(name)] / 255).tolist())
    assert abs((hue * 360 - degrees + 180) % 360 - 180) < 10
    assert saturation > 0.6


def test_backgrounds_are_what_people_call_them() -> None:
    scenes = make_scenes("test", range(MANY))
    images = render(empty(scenes)).float()
    for index, name in enumerate(words.BACKGROUNDS):
        level = images[scenes.background == index]
        red, _, blue = level.mean(dim=(0, 2, 3)).tolist()
        assert level[:, :, -1, 0].std(dim=0).max() > 1  # its gradient varies
        match name:
            case "white":
                assert level.min() > 220
            case "black":
                assert level.max() < 40
            case "sand":
                assert red - blue > 30
            case "sky":
                assert blue - red > 30


def test_size_is_seen() -> None:
    scenes = make_scenes("test", range(MANY))
    area = coverage(scenes, 0).sum(dim=(1, 2))
    for shape in range(len(words.SHAPES)):
        small, large = (area[(scenes.shape[:, 0] == shape) & (scenes.size[:, 0] == size)] for size in (0, 1))
        assert large.min() > 1.4 * small.max()
    assert area.min() > 30  # pixels: the smallest object of all


# Shape


def areas() -> Tensor:
    """Area of each shape of radius 1, by geometry."""
    fifth = math.pi / 5
    return torch.tensor(
        [
            math.pi * 0.92**2,
            (2 * 0.76) ** 2,
            3 * math.sqrt(3) * 0.54**2,
            10 * 0.5 * 0.48 * 1.08 * math.sin(fifth),
            2 * (2 * 0.98) * (2 * 0.34) - (2 * 0.34) ** 2,
            math.pi - _lens(1.0, 0.78, 0.55),
        ]
    )


def _lens(a: float, b: float, d: float) -> float:
    """Area that two circles of radii a and b at a distance d share."""
    at_a = math.acos((d * d + a * a - b * b) / (2 * d * a))
    at_b = math.acos((d * d + b * b - a * a) / (2 * d * b))
    kite = math.sqrt((-d + a + b) * (d + a - b) * (d - a + b) * (d + a + b))
    return a * a * at_a + b * b * at_b - kite / 2


@SHAPES
def test_area(shape: int) -> None:
    measured = []
    for turn in range(12):
        scenes = one_object(shape, x=16.3, y=15.8, radius=7.2, rotation=turn * 0.531)
        measured.append(coverage(scenes, 0).sum().item())
    # Coverage from the distance to the nearest edge is exact along an edge and errs within a pixel of a corner.
    assert sum(measured) / 12 / 7.2**2 == pytest.approx(areas()[shape].item(), rel=0.03)


@pytest.mark.parametrize(
    ("name", "folds"), [("circle", 7), ("square", 4), ("triangle", 3), ("star", 5), ("cross", 4), ("moon", 1)]
)
def test_rotational_symmetry(name: str, folds: int) -> None:
    shape = words.SHAPES.index(name)
    base = coverage(one_object(shape, rotation=0.4), 0)
    turned = coverage(one_object(shape, rotation=0.4 + 2 * math.pi / folds), 0)
    assert (turned - base).abs().max() < 0.02  # rounding of pixels: one level in about 200
    if name != "circle":
        between = coverage(one_object(shape, rotation=0.4 + math.pi / folds), 0)
        assert (between - base).abs().max() > 0.3


@SHAPES
def test_edges_are_the_same_on_both_sides(shape: int) -> None:
    """Anti-aliasing has no preferred side: each shape is symmetric about an axis, and so is its picture."""
    drawn = coverage(one_object(shape, radius=7.3), 0)[0]
    axis = 1 if words.SHAPES[shape] == "triangle" else 0  # the triangle stands on its base, the others lie on an axis
    assert (drawn - drawn.flip(axis)).abs().max() < 0.02
    shifted = coverage(one_object(shape, x=16.4, y=16.4, radius=7.3), 0)[0]
    assert (shifted - shifted.flip(axis)).abs().max() > 0.1


@SHAPES
def test_edges_are_soft_by_one_pixel_only(shape: int) -> None:
    """Coverage follows a shape that moves by parts of a pixel, and is all or nothing elsewhere."""
    still = coverage(one_object(shape), 0)
    moved = coverage(one_object(shape, x=16.25), 0)
    assert not torch.equal(still, moved)
    assert (still - moved).abs().max() < 0.75
    partial = ((still > 0.02) & (still < 0.98)).sum()
    perimeter = 2 * math.pi * 7.0 * 2  # generous: no shape here has twice the circle's edge
    assert 0 < partial < perimeter


@SHAPES
def test_distances_grow_outwards_by_at_most_one(shape: int) -> None:
    """A signed distance changes by at most the way gone, which is what makes `1/2 - distance` a coverage."""
    grid = torch.linspace(-2, 2, 161)
    v, u = torch.meshgrid(grid, grid, indexing="ij")
    distance = DISTANCES[words.SHAPES[shape]](u, v)
    step = grid[1] - grid[0]
    for axis in (0, 1):
        assert (distance.diff(dim=axis).abs() <= step * 1.001).all()
    deep = DEEP.get(words.SHAPES[shape], (0.0, 0.0))
    assert DISTANCES[words.SHAPES[shape]](torch.tensor(deep[0]), torch.tensor(deep[1])) < -0.3
    assert (torch.cat([distance[[0, -1]], distance[:, [0, -1]].T]) > 0.2).all()  # the frame of the grid lies outside


def test_reading_one_object_off_a_picture_leaves_the_others_out() -> None:
    scenes = make_scenes("test", range(200))
    scenes = scenes[(scenes.count == 3).nonzero()[:, 0]]
    first, second = coverage(scenes, 0), coverage(scenes, 1)
    assert (first - second).abs().amax(dim=(1, 2)).min() > 0.9
