"""Which captions are true of which scenes, and other scenes of which a caption is true."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.suites.shapes.scenes import Scenes


def describes(captioned: Scenes, shown: Scenes) -> Tensor:
    """bool (A, B): whether the caption of `captioned[a]` is true of the picture of `shown[b]`.

    True where every named object is there with every named attribute, the named relation holds and the named background
    is right; a picture may show more than the caption names.
    """
    match = _slots_match(captioned, shown)  # (A, 3, B, 3)
    named = captioned.used[:, :, None]
    objects = (match.any(dim=3) | ~named).all(dim=1)
    background = ~captioned.names_background[:, None] | (captioned.background[:, None] == shown.background[None])
    return objects & background & _relation_holds(captioned, shown, match)


def _slots_match(captioned: Scenes, shown: Scenes) -> Tensor:
    def same(name: str) -> Tensor:
        asked: Tensor = getattr(captioned, name)
        seen: Tensor = getattr(shown, name)
        return asked[:, :, None, None] == seen[None, None]

    match = same("shape") & same("colour") & shown.used[None, None]
    match &= same("texture") | ~captioned.names_texture[:, None, None, None]
    return match & (same("size") | ~captioned.names_size[:, None, None, None])


def _relation_holds(captioned: Scenes, shown: Scenes, match: Tensor) -> Tensor:
    """A shape-colour pair occurs once in a scene, so each named object matches at most one shown slot."""
    first, second = match[:, 0].float().argmax(dim=2), match[:, 1].float().argmax(dim=2)  # (A, B) shown slots
    row = torch.arange(len(shown)).expand(len(captioned), -1)
    left = shown.x[row, first] < shown.x[row, second]
    above = shown.y[row, first] < shown.y[row, second]
    relation = captioned.relation[:, None]
    return torch.where(relation == 0, left, torch.where(relation == 1, above, torch.ones_like(left)))
