"""The eye: a small vision transformer that ADD's discriminator reads, trained to say what stands where.

It learns from the train split alone, has its own seed, and shares no weight with a judge; no judge is ever its teacher.
"""

from __future__ import annotations

from collections.abc import Mapping

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
WIDTH = 96
LAYERS = 4
DEPTHS = (0, 1, 2, 3, 4)
"""Hidden states that the discriminator's heads read: the patch embedding and every layer."""


def make_eye() -> ViTModel:
    """About half a million parameters; pixels in -1..1."""
    config = ViTConfig(
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=6,
        intermediate_size=3 * WIDTH,
        image_size=words.IMAGE_SIZE,
        patch_size=PATCH,
    )
    return ViTModel(config, add_pooling_layer=False)


class EyeObjective(Objective):
    """Batches hold "images" uint8 and "scenes". The class token tells the background and which attributes occur."""

    def __init__(self, eye: ViTModel) -> None:
        values = sum(ATTRIBUTES.values())
        self.network = nn.ModuleDict(
            {
                "eye": eye,
                "places": nn.Linear(WIDTH, 1 + values),
                "whole": nn.Linear(WIDTH, values + len(words.BACKGROUNDS)),
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
