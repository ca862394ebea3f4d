"""CLIP guidance: the generator is drawn to images whose CLIP embedding is near that of their caption.

Sauer et al., "StyleGAN-T", arXiv 2301.09515, section 3.3: L_CLIP = arccos^2(c_image . c_text) of unit embeddings.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.adversarial.features import FrozenFeatures

_EPSILON = 1e-6


class ClipGuide(nn.Module):
    """The image half of a CLIP, frozen. Pixels come in -1..1; no parameter takes a gradient, pixels do.

    Args:
        features: Its vision transformer; the last layer's class token is read.
        projection: From the class token to the embedding that captions share.
    """

    def __init__(self, features: FrozenFeatures, projection: nn.Linear) -> None:
        super().__init__()
        self.features, self.projection = features, projection.requires_grad_(False)

    def forward(self, pixels: Tensor) -> Tensor:
        """(N, 3, H, W) -> unit embeddings (N, D)."""
        _, token = self.features(pixels)
        return F.normalize(self.projection(token), dim=1)


def squared_angle(images: Tensor, captions: Tensor) -> Tensor:
    """E arccos^2(a . b) of unit embeddings (N, D) each, in square radians.

    By the chord, 2 arcsin(|a - b| / 2): the arc cosine's slope is infinite where the two agree, the arc sine's only
    where they are opposite.
    """
    half_chord = (images - captions).norm(dim=1) / 2
    return (2 * torch.arcsin(half_chord.clamp(max=1 - _EPSILON))).square().mean()
