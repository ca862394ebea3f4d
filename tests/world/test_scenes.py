"""Scenes: pure functions of (split, index), laid out without overlap, evenly distributed, splits apart."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.suites.shapes import vocabulary as words
from bench.suites.shapes.captions import captions
from bench.suites.shapes.render import render
from bench.suites.shapes.scenes import SPLITS, TILT, Scenes, make_scenes, redrawn

MANY = 6000
GENERATOR_SPLITS = ("train", "validation", "test")


def same(a: Scenes, b: Scenes) -> bool:
    return all(torch.equal(getattr(a, field.name), getattr(b, field.name)) for field in fields(Scenes))


# Image i is a function of (split, i) alone


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(sorted(SPLITS)), st.lists(st.integers(0, 2**40), min_size=1, max_size=20))
def test_a_scene_needs_no_other_scene(split: str, indices: list[int]) -> None:
    together = make_scenes(split, indices)
    for row, index in enumerate(indices):
        assert same(make_scenes(split, [index]), together[row : row + 1])


def test_order_and_range_change_nothing() -> None:
    scenes = make_scenes("train", range(1000))
    order = torch.randperm(1000, generator=torch.Generator().manual_seed(0))
    assert same(make_scenes("train", order), scenes[order])
    assert same(make_scenes("train", range(400, 500)), scenes[400:500])
    assert not same(make_scenes("train", range(401, 501)), scenes[400:500])


def test_no_scenes_is_a_batch_of_none() -> None:
    scenes = make_scenes("train", [])
    assert len(scenes) == 0
    assert captions(scenes) == []
    assert render(scenes).shape == (0, 3, words.IMAGE_SIZE, words.IMAGE_SIZE)


def test_an_unknown_split_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown split 'tests'; there are train, validation, test"):
        make_scenes("tests", [0])


def test_global_random_state_is_untouched() -> None:
    before = _global_random_state()
    scenes = make_scenes("train", range(50))
    captions(scenes)
    render(redrawn(scenes, 3))
    assert _global_random_state() == before
    torch.rand(1)
    assert _global_random_state() != before


def _global_random_state() -> tuple[object, ...]:
    legacy = np.random.get_state(legacy=False)  # noqa: NPY002
    return random.getstate(), repr(legacy), torch.get_rng_state().numpy().tobytes()


# Layout


def test_objects_stay_in_the_frame_and_apart() -> None:
    for split in SPLITS:
        scenes = make_scenes(split, range(MANY))
        assert not out_of_frame(scenes).any()
        assert not overlapping(scenes).any()


def test_the_layout_checks_see_a_bad_layout() -> None:
    scenes = make_scenes("test", range(100))
    assert out_of_frame(scenes.with_(x=scenes.x + 16)).any()
    crowded = scenes.with_(x=torch.full_like(scenes.x, 16), y=torch.full_like(scenes.y, 16))
    assert overlapping(crowded)[scenes.count > 1].all()


def out_of_frame(scenes: Scenes) -> Tensor:
    """bool (N,): an object whose circle crosses the frame. 1e-5 pixels are float32 rounding at 32."""
    x, y, radius, side = scenes.x, scenes.y, scenes.radius, words.IMAGE_SIZE
    crossing = (torch.minimum(x, y) < radius - 1e-5) | (torch.maximum(x, y) > side - radius + 1e-5)
    return (crossing & scenes.used).any(dim=1)


def overlapping(scenes: Scenes) -> Tensor:
    """bool (N,): two objects whose circles meet."""
    meets = torch.zeros(len(scenes), dtype=torch.bool)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        between = torch.hypot(scenes.x[:, a] - scenes.x[:, b], scenes.y[:, a] - scenes.y[:, b])
        meets |= scenes.used[:, b] & (between < scenes.radius[:, a] + scenes.radius[:, b] - 1e-5)
    return meets


def test_relations_hold() -> None:
    scenes = make_scenes("train", range(MANY))
    for index, (name, along) in enumerate(zip(words.RELATIONS, (scenes.x, scenes.y), strict=True)):
        rows = scenes.relation == index
        assert rows.sum() > MANY // 20, name
        gap = (along[:, 1] - scenes.radius[:, 1]) - (along[:, 0] + scenes.radius[:, 0])
        assert (gap[rows] >= -1e-5).all(), name
    assert (scenes.count[scenes.relation >= 0] == 2).all()


def test_without_a_relation_either_object_may_come_first() -> None:
    scenes = make_scenes("train", range(MANY))
    rows = (scenes.count == 2) & (scenes.relation < 0)
    for along in (scenes.x, scenes.y):
        check_share((along[:, 0] < along[:, 1])[rows], 0.5)


def test_sizes_are_told_apart_by_radius() -> None:
    scenes = make_scenes("train", range(MANY))
    small, large = (scenes.radius[scenes.size == size] for size in (0, 1))
    assert large.min() / small.max() > 1.25  # a person sees a quarter more
    assert small.min() >= 4.5  # nine pixels across


# Distributions


def check_share(hits: Tensor, share: float) -> None:
    """The share of `hits` is `share` within 4.5 binomial standard errors: 1 in 100,000 for a fair draw.

    The draws are fixed, so this cannot flake: it holds or it does not.
    """
    n = hits.numel()
    assert n > 0
    error = math.sqrt(share * (1 - share) / n)
    found = hits.double().mean().item()
    assert abs(found - share) < 4.5 * error, f"{found:.4f} of {n}, expected {share:.4f} +- {error:.4f}"


def check_uniform(values: Tensor, choices: int) -> None:
    for choice in range(choices):
        check_share(values == choice, 1 / choices)


def test_the_distribution_check_sees_a_bias() -> None:
    scenes = make_scenes("train", range(MANY))
    with pytest.raises(AssertionError):
        check_uniform(scenes.shape[scenes.shape[:, 0] < 5][:, 0], 6)
    with pytest.raises(AssertionError):
        check_share(torch.rand(MANY, generator=torch.Generator().manual_seed(0)) < 0.54, 0.5)


@pytest.mark.parametrize("split", SPLITS)
def test_attributes_are_evenly_distributed(split: str) -> None:
    scenes = make_scenes(split, range(MANY))
    check_uniform(scenes.count - 1, words.MAX_OBJECTS)
    check_uniform(scenes.background, len(words.BACKGROUNDS))
    for slot in range(words.MAX_OBJECTS):
        rows = scenes.count > slot
        check_uniform(scenes.shape[rows, slot], len(words.SHAPES))
        check_uniform(scenes.colour[rows, slot], len(words.COLOURS))
        check_uniform(scenes.texture[rows, slot], len(words.TEXTURES))
        check_uniform(scenes.size[rows, slot], len(words.SIZES))
    for mask in (scenes.names_texture, scenes.names_size, scenes.names_background):
        check_share(mask, 0.3)
    check_share((scenes.relation >= 0)[scenes.count == 2], 0.6)
    check_share((scenes.relation == 0)[scenes.relation >= 0], 0.5)


def test_what_a_caption_names_says_nothing_about_what_it_leaves_out() -> None:
    scenes = make_scenes("train", range(10 * MANY))
    rows = torch.tensor([text == "a red circle" for text in captions(scenes)])
    assert rows.sum() > 100
    check_uniform(scenes.texture[rows, 0], len(words.TEXTURES))
    check_uniform(scenes.size[rows, 0], len(words.SIZES))
    check_uniform(scenes.background[rows], len(words.BACKGROUNDS))
    check_uniform(((scenes.rotation[rows, 0] / TILT + 1) * 2).long(), 4)
    radius = scenes.radius[rows, 0]
    for centre in (scenes.x[rows, 0], scenes.y[rows, 0]):
        free = (centre - radius) / (words.IMAGE_SIZE - 2 * radius)
        check_uniform((free * 4).long(), 4)


def test_objects_lean_a_little_and_in_the_judges_splits_at_any_angle() -> None:
    for split in SPLITS:
        rotation = make_scenes(split, range(MANY)).rotation[:, 0]
        if split.startswith("judge"):
            check_uniform((rotation / (2 * math.pi) * 4).long(), 4)
        else:
            assert rotation.abs().max() <= TILT


def test_the_objects_of_a_scene_differ() -> None:
    scenes = make_scenes("train", range(MANY))
    pair = scenes.shape * len(words.COLOURS) + scenes.colour
    ordered = pair.sort(dim=1).values
    assert (ordered.diff(dim=1) > 0).all()


def test_no_scene_comes_twice() -> None:
    """Within and across splits: the numbers that place and turn an object are all different."""
    keys: Counter[tuple[float, ...]] = Counter()
    for split in SPLITS:
        scenes = make_scenes(split, range(MANY))
        keys.update(map(tuple, torch.stack([scenes.x[:, 0], scenes.y[:, 0], scenes.rotation[:, 0]], 1).tolist()))
    assert len(keys) == len(SPLITS) * MANY


# Held-out pairs


def pairs(scenes: Scenes) -> set[tuple[int, int]]:
    used = scenes.used
    return set(zip(scenes.shape[used].tolist(), scenes.colour[used].tolist(), strict=True))


def test_held_out_pairs_take_each_shape_and_colour_once() -> None:
    shapes, colours = zip(*words.HELD_OUT_PAIRS, strict=True)
    assert sorted(shapes) == list(range(len(words.SHAPES)))
    assert sorted(colours) == list(range(len(words.COLOURS)))


@pytest.mark.parametrize("split", GENERATOR_SPLITS)
def test_held_out_pairs_are_never_seen_by_a_generator(split: str) -> None:
    every = {(shape, colour) for shape in range(len(words.SHAPES)) for colour in range(len(words.COLOURS))}
    assert pairs(make_scenes(split, range(MANY))) == every - set(words.HELD_OUT_PAIRS)


def test_the_held_out_split_shows_nothing_else_and_the_judges_see_all() -> None:
    assert pairs(make_scenes("held-out", range(MANY))) == set(words.HELD_OUT_PAIRS)
    for split in ("judge-train", "judge-validation"):
        assert len(pairs(make_scenes(split, range(MANY)))) == len(words.SHAPES) * len(words.COLOURS)


# Another picture of the same caption


def test_redrawing_keeps_what_is_named_and_draws_the_rest_again() -> None:
    scenes = make_scenes("test", range(MANY))
    other = redrawn(scenes, 1)
    assert not out_of_frame(other).any()
    assert not overlapping(other).any()
    assert (other.x != scenes.x).all()
    for named, choices, name in (
        (scenes.names_texture, len(words.TEXTURES), "texture"),
        (scenes.names_size, len(words.SIZES), "size"),
        (scenes.names_background, len(words.BACKGROUNDS), "background"),
    ):
        agrees = (getattr(scenes, name) == getattr(other, name)).reshape(MANY, -1)[:, 0]
        assert agrees[named].all()
        check_share(agrees[~named], 1 / choices)
    assert same(redrawn(scenes, 1), other)
    assert not same(redrawn(scenes, 2), other)
