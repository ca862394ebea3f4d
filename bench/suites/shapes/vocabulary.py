"""The words of the shapes world: what can be drawn and what a caption can name.

Pure Python, so that plans and lists can be made without torch.
"""

from __future__ import annotations

SHAPES = ("circle", "square", "triangle", "star", "cross", "moon")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple")
TEXTURES = ("solid", "striped", "shaded")
SIZES = ("small", "large")
BACKGROUNDS = ("white", "black", "sand", "sky")
RELATIONS = ("left of", "above")
GLUE = ("a", "an", "and", "on", ",", "left", "of", "above")

MAX_OBJECTS = 3
IMAGE_SIZE = 32

HELD_OUT_PAIRS = ((0, 1), (1, 3), (2, 5), (3, 0), (4, 2), (5, 4))
"""(shape, colour) index pairs that never occur in train, validation or test: each shape and each colour once."""


def words() -> tuple[str, ...]:
    """Every word a caption can hold, each once, in a fixed order."""
    return (*SHAPES, *COLOURS, *TEXTURES, *SIZES, *BACKGROUNDS, *GLUE)
