"""An eye that learns from captions, in the manner of CLIP. Radford et al., arXiv 2103.00020.

It has a text tower of its own and shares nothing with the CLIP judge: other weights, another split, another seed, and
no loss but the contrast.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer, ViTModel

from bench.suites.shapes.training.vae import to_unit_range
from bench.suites.shapes.truth import describes
from methods.distill.draws import Draws
from methods.distill.objective import Batch, Objective

TEXT_WIDTH = 64
EMBEDDING_WIDTH = 64
_LARGEST_SCALE = 100.0


def make_text_tower(tokenizer: CLIPTokenizer) -> CLIPTextModelWithProjection:
    """Two layers; int64 tokens -> `text_embeds` (N, 64)."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_WIDTH,
        intermediate_size=3 * TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=tokenizer.model_max_length,
        projection_dim=EMBEDDING_WIDTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModelWithProjection(config)


class CaptionEncoder(nn.Module):
    """The finished text tower, frozen: int64 tokens (N, L) -> unit embeddings (N, 64)."""

    def __init__(self, tower: CLIPTextModelWithProjection) -> None:
        super().__init__()
        self.tower = tower.eval().requires_grad_(False)
        self.width = int(tower.config.projection_dim)

    def forward(self, tokens: Tensor) -> Tensor:
        return F.normalize(self.tower(tokens).text_embeds, dim=1)


class CaptionObjective(Objective):
    """Batches hold "images" uint8, "tokens" int64 and "scenes".

    A caption that is also true of another image of the batch does not count that image as a wrong answer.
    """

    def __init__(self, eye: ViTModel, tokenizer: CLIPTokenizer) -> None:
        width = int(eye.config.hidden_size)
        self.network = nn.ModuleDict(
            {
                "eye": eye,
                "text": make_text_tower(tokenizer),
                "image_projection": nn.Linear(width, EMBEDDING_WIDTH, bias=False),
            }
        )
        self.network.register_parameter("logit_scale", nn.Parameter(torch.tensor(math.log(1 / 0.07))))

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        return {"eye": self.network}

    def losses(self, network: str, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        also_true = describes(batch["scenes"], batch["scenes"])
        also_true.fill_diagonal_(False)
        logits = self._similarity(batch).masked_fill(also_true, -torch.inf)
        target = torch.arange(len(logits))
        return {"contrast": (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2}

    def _similarity(self, batch: Batch) -> Tensor:
        """Scaled cosines (captions, images)."""
        token = self.network["eye"](to_unit_range(batch["images"])).last_hidden_state[:, 0]
        image = F.normalize(self.network["image_projection"](token), dim=1)
        text = F.normalize(self.network["text"](batch["tokens"]).text_embeds, dim=1)
        scale = self.network.get_parameter("logit_scale").exp().clamp(max=_LARGEST_SCALE)
        similarity: Tensor = text @ image.T * scale
        return similarity
