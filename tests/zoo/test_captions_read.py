"""Where the shipped teacher keeps a caption: in its tokens, and not in the pooled embedding."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers import StableDiffusionXLPipeline
from torch import Tensor

from bench.suites.shapes.suite import ShapesSuite
from bench.suites.shapes.vocabulary import COLOURS, SHAPES

CAPTIONS = [f"a {colour} {shape}" for colour in COLOURS for shape in SHAPES]


def told_apart(embeddings: Tensor) -> float:
    """Share of what the heads read, the layer-normalised embeddings, that differs between captions."""
    x = F.layer_norm(embeddings, embeddings.shape[1:])
    return float((x - x.mean(dim=0)).square().mean() / x.square().mean())


@torch.no_grad()
def test_the_pooled_embedding_is_blind_and_the_last_token_is_not() -> None:
    """Why ADD's heads are told captions by an encoder of their own (docs/shapes.md)."""
    pipe = StableDiffusionXLPipeline.from_pretrained(ShapesSuite().checkpoint("sdxl"))
    tokens, _, pooled, _ = pipe.encode_prompt(CAPTIONS, device="cpu", do_classifier_free_guidance=False)
    assert told_apart(pooled) < 1e-3
    assert told_apart(tokens[:, -1]) > 1e-2
    assert told_apart(torch.eye(len(CAPTIONS))) > 0.9
