"""`describes` says when a caption is true of a picture; it is compared with a reading of the sentence alone."""

from __future__ import annotations

from itertools import permutations

import torch

from bench.suites.shapes.captions import Demand, ObjectDemand, captions
from bench.suites.shapes.scenes import Scenes, make_scenes, redrawn
from bench.suites.shapes.truth import describes
from tests.world.grammar import parse


def true_of(demand: Demand, scenes: Scenes, row: int) -> bool:
    """Whether some assignment of the named objects to those shown fits in all that is named."""
    if demand.background is not None and demand.background != scenes.background[row]:
        return False
    slots = range(int(scenes.count[row]))
    return any(_fits(demand, scenes, row, order) for order in permutations(slots, len(demand.objects)))


def _fits(demand: Demand, scenes: Scenes, row: int, order: tuple[int, ...]) -> bool:
    if not all(_is(item, scenes, row, slot) for item, slot in zip(demand.objects, order, strict=True)):
        return False
    if demand.relation is None:
        return True
    along = (scenes.x, scenes.y)[demand.relation][row]
    return bool(along[order[0]] < along[order[1]])


def _is(item: ObjectDemand, scenes: Scenes, row: int, slot: int) -> bool:
    named = (("shape", item.shape), ("colour", item.colour), ("texture", item.texture), ("size", item.size))
    return all(value is None or value == getattr(scenes, name)[row, slot] for name, value in named)


def test_it_agrees_with_a_reading_of_the_sentence() -> None:
    captioned, shown = make_scenes("test", range(150)), make_scenes("held-out", range(20))
    pictures = Scenes(**{name: torch.cat([getattr(captioned, name), value]) for name, value in vars(shown).items()})
    found = describes(captioned, pictures)
    for a, text in enumerate(captions(captioned)):
        demand = parse(text)
        assert found[a].tolist() == [true_of(demand, pictures, b) for b in range(len(pictures))], text
    assert found.sum() > len(captioned)  # some captions are true of other pictures too


def test_a_caption_is_true_of_its_picture_and_of_another_of_the_same_caption() -> None:
    scenes = make_scenes("train", range(300))
    assert describes(scenes, scenes).diagonal().all()
    assert describes(scenes, redrawn(scenes, 5)).diagonal().all()


def test_a_caption_is_false_of_a_picture_with_one_thing_changed() -> None:
    scenes = make_scenes("train", range(300))
    other_colour = scenes.with_(colour=(scenes.colour + 1) % 6)
    assert describes(scenes, other_colour).diagonal().float().mean() < 0.1
    mirrored = scenes.with_(x=32 - scenes.x, y=32 - scenes.y)
    related = scenes.relation >= 0
    assert not describes(scenes, mirrored).diagonal()[related].any()
    assert describes(scenes, mirrored).diagonal()[~related].all()
