"""The suite's CLIP: transformers' `CLIPModel`, trained here on captioned shapes and used only to judge.

While it trains, a linear head on the patch tokens also predicts what stands where, which teaches the small vision tower
to see several times sooner; the head is not part of the judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTokenizer, CLIPVisionConfig

from bench.suites.shapes import vocabulary as words
from bench.suites.shapes.generator.networks import MAX_TOKENS
from bench.suites.shapes.places import ATTRIBUTES, attribute_losses, by_attribute, centres, presence_loss
from bench.suites.shapes.truth import describes
from methods.distill.draws import Draws
from methods.distill.objective import Batch, Objective

PATCH = 4


def make_clip(tokenizer: CLIPTokenizer) -> CLIPModel:
    """A CLIP of about one million parameters: 8 x 8 patches, 24 tokens."""
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=80,
        intermediate_size=240,
        num_hidden_layers=3,
        num_attention_heads=5,
        max_position_embeddings=MAX_TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    vision = CLIPVisionConfig(
        hidden_size=112,
        intermediate_size=336,
        num_hidden_layers=4,
        num_attention_heads=7,
        image_size=words.IMAGE_SIZE,
        patch_size=PATCH,
    )
    config = CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=96)
    return CLIPModel(config)


def pixels(images: Tensor) -> Tensor:
    """uint8 (N, 3, 32, 32) -> float32 in -1..1, all the preprocessing there is."""
    return images.float() / 127.5 - 1


def cosine(clip: CLIPModel, images: Tensor, tokens: Tensor) -> Tensor:
    """float32 (N,): cosine between each image and its caption."""
    image, text = embed_images(clip, images), embed_texts(clip, tokens)
    return (image * text).sum(dim=1)


def embed_images(clip: CLIPModel, images: Tensor) -> Tensor:
    """float32 (N, 96), unit length."""
    return F.normalize(clip.visual_projection(clip.vision_model(pixels(images)).pooler_output), dim=1)


def embed_texts(clip: CLIPModel, tokens: Tensor) -> Tensor:
    """float32 (N, 96), unit length."""
    return F.normalize(clip.text_projection(clip.text_model(tokens).pooler_output), dim=1)


class ClipObjective(Objective):
    """Batches hold "images" uint8, "tokens" int64 and "scenes".

    A caption that is also true of another image of the batch does not count that image as a wrong answer.
    """

    def __init__(self, clip: CLIPModel) -> None:
        self.clip = clip
        self.network = nn.ModuleDict({"clip": clip, "places": nn.Linear(112, 1 + sum(ATTRIBUTES.values()))})

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        return {"clip": self.network}

    def losses(self, network: str, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        vision = self.clip.vision_model(pixels(batch["images"]))
        image = F.normalize(self.clip.visual_projection(vision.pooler_output), dim=1)
        text = embed_texts(self.clip, batch["tokens"])
        logits = text @ image.T * self.clip.logit_scale.exp().clamp(max=100)
        also_true = describes(batch["scenes"], batch["scenes"])
        also_true.fill_diagonal_(False)
        logits = logits.masked_fill(also_true, -torch.inf)
        target = torch.arange(len(logits))
        contrast = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
        return {"contrast": contrast, "places": self._places(vision.last_hidden_state[:, 1:], batch)}

    def _places(self, patches: Tensor, batch: Batch) -> Tensor:
        side = words.IMAGE_SIZE // PATCH
        logits = self.network["places"](patches).unflatten(1, (side, side))
        at = centres(batch["scenes"], PATCH)
        local = by_attribute(logits[at.row, at.y, at.x, 1:])
        losses = attribute_losses(local, batch["scenes"], at)
        return 0.5 * sum(losses.values(), presence_loss(logits[..., 0], at))


@torch.no_grad()
def retrieval_accuracy(clip: CLIPModel, batches: Sequence[Batch]) -> float:
    """Share of captions whose nearest image, out of the batch's, is one that the caption truly describes."""
    right: list[Tensor] = []
    for batch in batches:
        best = (embed_texts(clip, batch["tokens"]) @ embed_images(clip, batch["images"]).T).argmax(dim=1)
        right.append(describes(batch["scenes"], batch["scenes"])[torch.arange(len(best)), best])
    return float(torch.cat(right).double().mean())
