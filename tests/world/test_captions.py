"""Captions say what is in the picture, all of the grammar is used, and a caption means one thing only."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.suites.shapes import vocabulary as words
from bench.suites.shapes.captions import Demand, ObjectDemand, caption, captions, demands
from bench.suites.shapes.scenes import SPLITS, make_scenes, redrawn
from tests.world.grammar import GrammarError, parse

MANY = 4000

objects = st.builds(
    ObjectDemand,
    shape=st.integers(0, len(words.SHAPES) - 1),
    colour=st.integers(0, len(words.COLOURS) - 1),
    texture=st.none() | st.integers(0, len(words.TEXTURES) - 1),
    size=st.none() | st.integers(0, len(words.SIZES) - 1),
)
backgrounds = st.none() | st.integers(0, len(words.BACKGROUNDS) - 1)
plain = st.builds(Demand, st.lists(objects, min_size=1, max_size=words.MAX_OBJECTS).map(tuple), st.none(), backgrounds)
related = st.builds(Demand, st.tuples(objects, objects), st.integers(0, len(words.RELATIONS) - 1), backgrounds)


@given(plain | related)
def test_every_demand_can_be_read_back(demand: Demand) -> None:
    assert parse(caption(demand)) == demand


@pytest.mark.parametrize("split", SPLITS)
def test_captions_of_scenes_can_be_read_back(split: str) -> None:
    scenes = make_scenes(split, range(MANY))
    assert [parse(text) for text in captions(scenes)] == demands(scenes)


def test_reading_back_sees_a_wrong_caption() -> None:
    demand = demands(make_scenes("test", [0]))[0]
    first = demand.objects[0]
    other = replace(first, colour=(first.colour + 1) % len(words.COLOURS))
    assert parse(caption(replace(demand, objects=(other, *demand.objects[1:])))) != demand


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a red",
        "a orange circle",
        "an red circle",
        "a red circle.",
        "a pink circle",
        "a red circle on grass",
        "a red circle a blue star",
        "a red circle and a blue star and a green moon",
        "a red circle above a blue star above a green moon",
    ],
)
def test_the_reader_refuses_what_is_no_caption(text: str) -> None:
    with pytest.raises(GrammarError):
        parse(text)


def test_demands_are_what_the_scene_holds() -> None:
    scenes = make_scenes("train", range(500))
    for row, demand in enumerate(demands(scenes)):
        assert len(demand.objects) == scenes.count[row]
        for slot, item in enumerate(demand.objects):
            assert item.shape == scenes.shape[row, slot]
            assert item.colour == scenes.colour[row, slot]
            assert item.texture == (scenes.texture[row, slot] if scenes.names_texture[row] else None)
            assert item.size == (scenes.size[row, slot] if scenes.names_size[row] else None)
        assert demand.background == (scenes.background[row] if scenes.names_background[row] else None)
        assert (demand.relation is None) == (scenes.relation[row] < 0)


def test_the_vocabulary_is_all_used_and_nothing_else_is() -> None:
    tokens = {token for text in captions(make_scenes("train", range(MANY))) for token in _tokens(text)}
    assert tokens == set(words.words())
    assert len(words.words()) == len(set(words.words()))


def test_the_longest_caption_fits_the_text_encoders() -> None:
    longest = max(len(_tokens(text)) for text in captions(make_scenes("train", range(MANY))))
    # Three objects of five words, a comma, "and", and a background of two words.
    assert longest <= 3 * 5 + 2 + 2


def test_an_object_is_named_by_colour_and_shape_at_least() -> None:
    assert caption(Demand((ObjectDemand(0, 1, None, None),), None, None)) == "an orange circle"
    full = Demand((ObjectDemand(3, 0, 1, 0), ObjectDemand(5, 4, 2, 1)), 0, 2)
    assert caption(full) == "a small red striped star left of a large blue shaded moon on sand"
    three = Demand(tuple(ObjectDemand(shape, shape, None, None) for shape in range(3)), None, None)
    assert caption(three) == "a red circle, an orange square and a yellow triangle"


def test_another_picture_of_the_same_caption() -> None:
    scenes = make_scenes("test", range(300))
    assert captions(redrawn(scenes, 0)) == captions(scenes)
    assert captions(make_scenes("test", range(300, 600))) != captions(scenes)


def test_captions_are_the_same_everywhere() -> None:
    """Scene numbers are integers and float64 made from them, so this holds to the bit on any machine."""
    text = "\n".join(line for split in SPLITS for line in captions(make_scenes(split, range(200))))
    assert hashlib.sha256(text.encode()).hexdigest() == GOLDEN


GOLDEN = "25b0499a4285b0fa34580f8ce8ae7517e0b5854cbf4560abfe308a4de1cef0bd"


def _tokens(text: str) -> list[str]:
    return text.replace(",", " ,").split()
