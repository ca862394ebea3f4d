"""c_text: what the discriminator's heads are told of a caption.

The papers give the embedding of a CLIP that was trained on images and captions (StyleGAN-T ViT-L/14, ADD ViT-g/14).
SDXL's pooled embedding is one too (bigG/14). Text encoders that learned with their UNet alone have a pooled embedding
that no loss ever compared with an image; there a contrastive encoder of its own has to take its place.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from methods.distill.objective import Batch

POOLED = "pooled"
"""The caption encoder that is the pipeline's own: its pooled embedding."""


def text_condition(batch: Batch, caption_encoder: str) -> Tensor:
    """Layer-normalised (N, D): the batch's "caption", or where the encoder is `POOLED` the pooled "condition"."""
    text: Tensor = batch["condition"].pooled if caption_encoder == POOLED else batch["caption"]
    return F.layer_norm(text, text.shape[1:])
