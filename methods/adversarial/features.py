"""The frozen features that an adversarial objective's heads read: a vision transformer's tokens at several depths.

The heads of StyleGAN-T (Sauer et al., arXiv 2301.09515) read patch tokens with the class token of the same depth added
to each, so that every token knows of the whole image; so do ours. Both are layer-normalised first, without parameters:
hidden states are small and grow with depth (a root mean square of 0.16 to 0.53 in the suite's eye), and all heads shall
start, and be bounded by spectral norm, alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Dinov2Model

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
DINOV2_SIZE = 224


class FrozenFeatures(nn.Module):
    """Token features of a ViT at several depths. Pixels come in -1..1; no parameter takes a gradient, pixels do.

    Args:
        vit: A transformers ViT: `ViTModel`, `Dinov2Model` or one that answers like them.
        depths: Hidden states to read, 0 being the patch embedding.
        size: Side in pixels that images are resized to (area when shrinking, bilinear when growing); None leaves them.
        mean, std: Of each channel on the 0..1 scale, as the network was trained; None keeps pixels in -1..1.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        vit: nn.Module,
        depths: Sequence[int],
        *,
        size: int | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.vit = vit.eval().requires_grad_(False)
        self.depths, self.size = tuple(depths), size
        self.register_buffer("mean", torch.tensor(mean or (0.5, 0.5, 0.5)).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std or (0.5, 0.5, 0.5)).view(-1, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> FrozenFeatures:
        """Stays in eval mode whatever is asked."""
        return super().train(False)

    @property
    def width(self) -> int:
        """Channels of each token."""
        config: Any = self.vit.config
        return int(config.hidden_size)

    def forward(self, pixels: Tensor) -> tuple[list[Tensor], Tensor]:
        """(N, 3, H, W) -> tokens (N, width, L) at each depth, and the last layer's class token (N, width)."""
        output = self.vit(self._prepared(pixels), output_hidden_states=True)
        return [_readout(output.hidden_states[depth]) for depth in self.depths], output.last_hidden_state[:, 0]

    def _prepared(self, pixels: Tensor) -> Tensor:
        if self.size is not None and pixels.shape[-1] != self.size:
            mode = "area" if pixels.shape[-1] > self.size else "bilinear"
            pixels = F.interpolate(pixels, (self.size, self.size), mode=mode)
        return ((pixels + 1) / 2 - self.mean) / self.std


def dinov2_features(vit: Dinov2Model) -> FrozenFeatures:
    """DINOv2 as the paper reads it: the patch embedding and four depths, images at 224 px, ImageNet's statistics."""
    layers = int(vit.config.num_hidden_layers)
    depths = sorted({0, *(layers * quarter // 4 for quarter in range(1, 5))})
    return FrozenFeatures(vit, depths, size=DINOV2_SIZE, mean=IMAGENET_MEAN, std=IMAGENET_STD)


def _readout(hidden: Tensor) -> Tensor:
    """Hidden states (N, 1 + L, width) -> patch tokens with the class token added, (N, width, L), of unit variance."""
    normalised = F.layer_norm(hidden, hidden.shape[-1:])
    tokens: Tensor = (normalised[:, 1:] + normalised[:, :1]) * 0.5**0.5
    return tokens.transpose(1, 2)
