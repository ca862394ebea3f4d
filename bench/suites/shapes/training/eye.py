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
from bench.suites.shapes.training.vae import to_unit_range
from methods.distill.objective import Batch, Objective

PATCH = 4
WIDTH = 96
LAYERS = 4
DEPTHS = (0, 1, 2, 3, 4)
"""Hidden states that the discriminator's heads read: the patch embedding and every layer."""

_ATTRIBUTES = {
    "shape": len(words.SHAPES),
    "colour": len(words.COLOURS),
    "texture": len(words.TEXTURES),
    "size": len(words.SIZES),
}


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
        values = sum(_ATTRIBUTES.values())
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

    def losses(self, network: str, batch: Batch, rng: torch.Generator) -> Mapping[str, Tensor]:
        scenes = batch["scenes"]
        hidden = self.network["eye"](to_unit_range(batch["images"])).last_hidden_state
        logits = self.network["places"](hidden[:, 1:])
        row, slot = scenes.used.nonzero(as_tuple=True)
        side = words.IMAGE_SIZE // PATCH
        place = (scenes.y[row, slot] / PATCH).long() * side + (scenes.x[row, slot] / PATCH).long()
        present = torch.zeros(logits.shape[:2])
        present[row, place] = 1
        object_loss = F.binary_cross_entropy_with_logits(logits[..., 0], present, reduction="sum") / len(row)
        widths = list(_ATTRIBUTES.values())
        whole = self.network["whole"](hidden[:, 0])
        parts = zip(_ATTRIBUTES, logits[row, place, 1:].split(widths, 1), whole[:, :-4].split(widths, 1), strict=True)
        attributes, occurring = torch.zeros(()), torch.zeros(())
        for name, local, overall in parts:
            value = getattr(scenes, name)
            attributes = attributes + F.cross_entropy(local, value[row, slot])
            occurs = torch.zeros_like(overall)
            occurs[row, value[row, slot]] = 1
            occurring = occurring + F.binary_cross_entropy_with_logits(overall, occurs)
        background = F.cross_entropy(whole[:, -4:], scenes.background)
        return {"object": object_loss, "attributes": attributes, "occurring": occurring, "background": background}
