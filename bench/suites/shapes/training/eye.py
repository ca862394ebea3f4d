"""The eye: a small vision transformer that ADD's discriminator reads, trained to say what stands where.

It learns from the train split alone, has its own seed, and shares no weight with a judge; no judge is ever its teacher.
The other eyes (`eye_dino`, `eye_clip`) are the same network under another objective; each comes in two sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import ViTConfig, ViTModel

from bench.suites.shapes import vocabulary as words
from bench.suites.shapes.places import ATTRIBUTES, attribute_losses, by_attribute, centres, presence_loss
from bench.suites.shapes.training.vae import to_unit_range
from methods.distill.draws import Draws
from methods.distill.objective import Batch, Objective

PATCH = 4


@dataclass(frozen=True)
class EyeSize:
    """Width of the tokens, number of layers, number of attention heads."""

    width: int
    layers: int
    heads: int

    @property
    def depths(self) -> tuple[int, ...]:
        """The five hidden states that the discriminator's heads read: the patch embedding and four even depths."""
        return (0, *(self.layers * quarter // 4 for quarter in range(1, 5)))


SMALL = EyeSize(width=96, layers=4, heads=6)
LARGE = EyeSize(width=144, layers=8, heads=6)


def make_eye(size: EyeSize = SMALL) -> ViTModel:
    """About half a million parameters, or two million; pixels in -1..1."""
    config = ViTConfig(
        hidden_size=size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        intermediate_size=3 * size.width,
        image_size=words.IMAGE_SIZE,
        patch_size=PATCH,
    )
    return ViTModel(config, add_pooling_layer=False)


class EyeObjective(Objective):
    """Batches hold "images" uint8 and "scenes". The class token tells the background and which attributes occur."""

    def __init__(self, eye: ViTModel) -> None:
        values, width = sum(ATTRIBUTES.values()), int(eye.config.hidden_size)
        self.network = nn.ModuleDict(
            {
                "eye": eye,
                "places": nn.Linear(width, 1 + values),
                "whole": nn.Linear(width, values + len(words.BACKGROUNDS)),
            }
        )

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        return {"eye": self.network}

    def losses(self, network: str, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        scenes = batch["scenes"]
        hidden = self.network["eye"](to_unit_range(batch["images"])).last_hidden_state
        side = words.IMAGE_SIZE // PATCH
        logits = self.network["places"](hidden[:, 1:]).unflatten(1, (side, side))
        whole = self.network["whole"](hidden[:, 0])
        at = centres(scenes, PATCH)
        object_loss = presence_loss(logits[..., 0], at)
        local = attribute_losses(by_attribute(logits[at.row, at.y, at.x, 1:]), scenes, at)
        attributes = sum(local.values(), torch.zeros(()))
        occurring = torch.zeros(())
        for name, overall in by_attribute(whole[:, :-4]).items():
            occurs = torch.zeros_like(overall)
            occurs[at.row, getattr(scenes, name)[at.row, at.slot]] = 1
            occurring = occurring + F.binary_cross_entropy_with_logits(overall, occurs)
        background = F.cross_entropy(whole[:, -4:], scenes.background)
        return {"object": object_loss, "attributes": attributes, "occurring": occurring, "background": background}
