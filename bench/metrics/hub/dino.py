"""DINOv2's class token as features, as Stein et al. 2023 (arXiv 2306.04675) take them: ViT-L/14 on 224 x 224."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from transformers import Dinov2Model

from bench.metrics.hub.load import once, pretrained
from bench.metrics.hub.pixels import IMAGENET_DEVIATION, IMAGENET_MEAN, Pixels
from bench.metrics.interface import MetricContext

SIZE = 224
_BATCH = 32


class DinoFeatures:
    """uint8 images -> the normalised class token of the last layer, (N, D); 1,024 features for ViT-L."""

    name = "dinov2"

    def __init__(self, folder: Path, weights_hash: str, device: torch.device) -> None:
        self.weights_hash, self._device = weights_hash, device
        self._network = pretrained(Dinov2Model, folder, device)
        self._pixels = Pixels(SIZE, IMAGENET_MEAN, IMAGENET_DEVIATION, squash=True)
        self.resize = self._pixels.protocol

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        parts = []
        for block in torch.split(images, _BATCH):
            hidden = self._network(pixel_values=self._pixels(block).to(self._device)).last_hidden_state
            parts.append(hidden[:, 0].float().cpu())
        return torch.cat(parts)


def dino(context: MetricContext, metric: str) -> DinoFeatures:
    """DINOv2, loaded once a run.

    Raises:
        UsageError: where the run was given no weights for it.
        WeightsError: where they cannot be loaded.
    """
    folder, weights_hash = context.files.path("dinov2", metric), context.files.hash("dinov2", metric)
    return once(context, "dinov2", lambda: DinoFeatures(folder, weights_hash, context.device))
