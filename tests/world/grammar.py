"""Read a caption back into what it demands: written from the grammar, not from the code that writes captions."""

from __future__ import annotations

import re

from bench.suites.shapes import vocabulary as words
from bench.suites.shapes.captions import Demand, ObjectDemand


class GrammarError(ValueError):
    """The sentence is not a caption."""


def parse(text: str) -> Demand:
    """The demand that `text` states.

    Raises:
        GrammarError: where `text` is no sentence of the grammar.
    """
    body, background = _split_background(text)
    for index, relation in enumerate(words.RELATIONS):
        if f" {relation} " in body:
            phrases = body.split(f" {relation} ")
            if len(phrases) != 2:
                raise GrammarError(f"{text!r}: a relation holds between two objects")
            return Demand(tuple(map(_object, phrases)), index, background)
    phrases = re.split(r", | and ", body)
    joins = re.findall(r", | and ", body)
    if joins not in ([], [" and "], [", ", " and "]):
        raise GrammarError(f"{text!r}: objects are joined by {joins}")
    return Demand(tuple(map(_object, phrases)), None, background)


def _split_background(text: str) -> tuple[str, int | None]:
    if " on " not in text:
        return text, None
    body, _, name = text.rpartition(" on ")
    return body, _index(words.BACKGROUNDS, name)


def _object(phrase: str) -> ObjectDemand:
    article, *rest = phrase.split(" ")
    if not rest or article != ("an" if rest[0][0] in "aeiou" else "a"):
        raise GrammarError(f"{phrase!r}: wrong article")
    size = words.SIZES.index(rest.pop(0)) if rest[0] in words.SIZES else None
    if len(rest) not in (2, 3):
        raise GrammarError(f"{phrase!r}: an object is a colour, perhaps a texture, and a shape")
    return ObjectDemand(
        shape=_index(words.SHAPES, rest[-1]),
        colour=_index(words.COLOURS, rest[0]),
        texture=_index(words.TEXTURES, rest[1]) if len(rest) == 3 else None,
        size=size,
    )


def _index(table: tuple[str, ...], word: str) -> int:
    if word not in table:
        raise GrammarError(f"{word!r} is none of {table}")
    return table.index(word)
