"""Differentiable augmentation for the discriminator: colour, translation, cutout.

Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training", arXiv 2006.10738.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from methods.distill.draws import Draws

Augmentation = Literal["colour", "translation", "cutout"]


def augment(pixels: Tensor, draws: Draws, kinds: Sequence[str] = ("colour", "translation", "cutout")) -> Tensor:
    """Pixels (N, 3, H, W) in -1..1, each image changed in its own way; gradients pass through.

    Args:
        pixels: Real or fake images.
        draws: Whose random numbers belong to the images.
        kinds: Any of "colour", "translation" and "cutout", applied in this order; none leaves the images as they are.
    """
    for kind in kinds:
        pixels = _KINDS[kind](pixels, draws)
    return pixels


def _recoloured(pixels: Tensor, draws: Draws) -> Tensor:
    """Brightness by up to 0.5, saturation by 0..2, contrast by 0.5..1.5."""
    brightness, saturation, contrast = (draws.uniform(len(pixels), 1, 1, 1).to(pixels) for _ in range(3))
    x = pixels + (brightness - 0.5)
    grey = x.mean(dim=1, keepdim=True)
    x = grey + (x - grey) * (2 * saturation)
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (x - mean) * (contrast + 0.5)


def _translated(pixels: Tensor, draws: Draws) -> Tensor:
    """Moved by up to an eighth of each side; what comes in is black."""
    n, _, height, width = pixels.shape
    dy = draws.integers(-(height // 8), height // 8 + 1, n, 1)
    dx = draws.integers(-(width // 8), width // 8 + 1, n, 1)
    rows = ((torch.arange(height) + dy).clamp(-1, height) + 1).to(pixels.device)
    columns = ((torch.arange(width) + dx).clamp(-1, width) + 1).to(pixels.device)
    padded = F.pad(pixels, (1, 1, 1, 1), value=-1.0)
    batch = torch.arange(n, device=pixels.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _cutout(pixels: Tensor, draws: Draws) -> Tensor:
    """A square of a third of the side is blanked to mid-grey."""
    n, _, height, width = pixels.shape
    half = height // 6
    centre_y = draws.integers(0, height, n, 1)
    centre_x = draws.integers(0, width, n, 1)
    inside_y = (torch.arange(height) - centre_y).abs() <= half
    inside_x = (torch.arange(width) - centre_x).abs() <= half
    kept = ~(inside_y[:, :, None] & inside_x[:, None, :])
    return pixels * kept[:, None].to(pixels.device)


_KINDS: Mapping[str, Callable[[Tensor, Draws], Tensor]] = {
    "colour": _recoloured,
    "translation": _translated,
    "cutout": _cutout,
}
