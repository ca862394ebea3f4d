"""The attribute recogniser: which objects an image shows, with every attribute bound to its object.

A small convolutional detector. Each of the 8 x 8 places predicts whether an object's centre lies in it and, if so, its
shape, colour, texture and size; the image as a whole predicts the background. Its mean-pooled last feature map serves
the Frechet distance as Inception's pooled features do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from bench.suites.shapes import vocabulary as words
from bench.suites.shapes.captions import Demand, ObjectDemand
from bench.suites.shapes.places import ATTRIBUTES, attribute_losses, by_attribute, centres, presence_loss
from bench.suites.shapes.scenes import Scenes

STRIDE = 4
FEATURES = 96


class Recogniser(nn.Module):
    """uint8 images (N, 3, 32, 32) -> logits: 1 + 6 + 6 + 3 + 2 channels on an 8 x 8 grid and 4 for the background."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(3, 24, 3, padding=1),
            _norm_act(24),
            nn.Conv2d(24, 48, 4, stride=2, padding=1),
            _norm_act(48),
            _Residual(48),
            nn.Conv2d(48, FEATURES, 4, stride=2, padding=1),
            _norm_act(FEATURES),
            _Residual(FEATURES),
            _Residual(FEATURES),
            _Residual(FEATURES),
        )
        self.places = nn.Conv2d(FEATURES, 1 + sum(ATTRIBUTES.values()), 1)
        self.background = nn.Linear(FEATURES, len(words.BACKGROUNDS))

    def feature_map(self, images: Tensor) -> Tensor:
        """float32 (N, 96, 8, 8)."""
        features: Tensor = self.trunk(images.float() / 127.5 - 1)
        return features

    def features(self, images: Tensor) -> Tensor:
        """Penultimate features, float32 (N, 96)."""
        return self.feature_map(images).mean(dim=(2, 3))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Logits: "object" (N, 8, 8), each attribute (N, K, 8, 8), "background" (N, 4)."""
        return self.logits(self.feature_map(images))

    def logits(self, feature_map: Tensor) -> dict[str, Tensor]:
        """The heads alone."""
        places = self.places(feature_map)
        return {
            "object": places[:, 0],
            **by_attribute(places[:, 1:]),
            "background": self.background(feature_map.mean(dim=(2, 3))),
        }


def recogniser_loss(logits: dict[str, Tensor], scenes: Scenes) -> dict[str, Tensor]:
    """Cross entropies against the true scenes: objectness everywhere, attributes where an object's centre is."""
    at = centres(scenes, STRIDE)
    local = {name: logits[name][at.row, :, at.y, at.x] for name in ATTRIBUTES}
    return {
        "object": presence_loss(logits["object"], at),
        "background": F.cross_entropy(logits["background"], scenes.background),
        **attribute_losses(local, scenes, at),
    }


@dataclass(frozen=True)
class Detection:
    """One object as the recogniser sees it; indices into the vocabulary, `x y` in places."""

    shape: int
    colour: int
    texture: int
    size: int
    x: int
    y: int


def detections(logits: dict[str, Tensor]) -> list[list[Detection]]:
    """Places whose objectness is above one half and the largest within their 3 x 3 neighbourhood."""
    score = logits["object"]
    peak = (score > 0) & (score >= F.max_pool2d(score[:, None], 3, stride=1, padding=1)[:, 0])
    best = {name: logits[name].argmax(dim=1) for name in ATTRIBUTES}
    found: list[list[Detection]] = [[] for _ in range(len(score))]
    rows, ys, xs = (index.tolist() for index in peak.nonzero(as_tuple=True))
    values = {name: best[name][peak].tolist() for name in ATTRIBUTES}
    for k, (row, y, x) in enumerate(zip(rows, ys, xs, strict=True)):
        found[row].append(Detection(x=x, y=y, **{name: values[name][k] for name in ATTRIBUTES}))
    return found


def satisfied(demand: Demand, found: Sequence[Detection], background: int) -> bool:
    """Whether every object, attribute, relation and background that a caption names is there, bound together."""
    if demand.background is not None and background != demand.background:
        return False
    candidates = [[d for d in found if _matches(item, d)] for item in demand.objects]
    if not all(candidates):
        return False
    if demand.relation is None:
        return True
    first, second = candidates
    return any(_related(a, b, demand.relation) for a in first for b in second)


def _matches(item: ObjectDemand, found: Detection) -> bool:
    named = (item.shape, item.colour, item.texture, item.size)
    seen = (found.shape, found.colour, found.texture, found.size)
    return all(want is None or want == have for want, have in zip(named, seen, strict=True))


def _related(a: Detection, b: Detection, relation: int) -> bool:
    return a.x < b.x if relation == 0 else a.y < b.y


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            _norm_act(channels),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


def _norm_act(channels: int) -> nn.Module:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())
