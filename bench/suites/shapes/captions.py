"""The caption of a scene, and what a caption demands of an image.

    caption    = objects [ " on " background ]
    objects    = object | object relation object | object " and " object | object ", " object " and " object
    object     = ("a " | "an ") [ size ] colour [ texture ] shape

What the caption leaves out (position, rotation, and size, texture or background where unnamed) stays random, so the
distribution behind one caption has many modes.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.suites.shapes import vocabulary as words
from bench.suites.shapes.scenes import Scenes


@dataclass(frozen=True)
class ObjectDemand:
    """One named object; an attribute that the caption does not name is None. Values index the vocabulary."""

    shape: int
    colour: int
    texture: int | None
    size: int | None


@dataclass(frozen=True)
class Demand:
    """Everything that a caption names. `relation` holds between objects 0 and 1."""

    objects: tuple[ObjectDemand, ...]
    relation: int | None
    background: int | None


def demands(scenes: Scenes) -> list[Demand]:
    """What the caption of each scene names."""
    return [_demand(scenes, row) for row in range(len(scenes))]


def captions(scenes: Scenes) -> list[str]:
    """The caption of each scene, one sentence without a full stop."""
    return [caption(demand) for demand in demands(scenes)]


def caption(demand: Demand) -> str:
    """The sentence that names exactly `demand`."""
    phrases = [_phrase(item) for item in demand.objects]
    if demand.relation is not None:
        text = f" {words.RELATIONS[demand.relation]} ".join(phrases)
    elif len(phrases) == 1:
        text = phrases[0]
    else:
        text = ", ".join(phrases[:-1]) + " and " + phrases[-1]
    return text if demand.background is None else f"{text} on {words.BACKGROUNDS[demand.background]}"


def _phrase(item: ObjectDemand) -> str:
    size = "" if item.size is None else words.SIZES[item.size] + " "
    texture = "" if item.texture is None else words.TEXTURES[item.texture] + " "
    phrase = f"{size}{words.COLOURS[item.colour]} {texture}{words.SHAPES[item.shape]}"
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def _demand(scenes: Scenes, row: int) -> Demand:
    relation = int(scenes.relation[row])
    objects = tuple(
        ObjectDemand(
            shape=int(scenes.shape[row, slot]),
            colour=int(scenes.colour[row, slot]),
            texture=int(scenes.texture[row, slot]) if scenes.names_texture[row] else None,
            size=int(scenes.size[row, slot]) if scenes.names_size[row] else None,
        )
        for slot in range(int(scenes.count[row]))
    )
    background = int(scenes.background[row]) if scenes.names_background[row] else None
    return Demand(objects=objects, relation=relation if relation >= 0 else None, background=background)
