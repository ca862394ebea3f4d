"""Differentiable augmentation for the discriminator: colour, translation, cutout.

Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training", arXiv 2006.10738.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def augment(pixels: Tensor, rng: torch.Generator) -> Tensor:
    """Pixels (N, 3, H, W) in -1..1, each image changed in its own way; gradients pass through."""
    return _cutout(_translated(_recoloured(pixels, rng), rng), rng)


def _recoloured(pixels: Tensor, rng: torch.Generator) -> Tensor:
    """Brightness by up to 0.5, saturation by 0..2, contrast by 0.5..1.5."""
    brightness, saturation, contrast = (_uniform(len(pixels), rng) for _ in range(3))
    x = pixels + (brightness - 0.5)
    grey = x.mean(dim=1, keepdim=True)
    x = grey + (x - grey) * (2 * saturation)
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (x - mean) * (contrast + 0.5)


def _translated(pixels: Tensor, rng: torch.Generator) -> Tensor:
    """Moved by up to an eighth of each side; what comes in is black."""
    n, _, height, width = pixels.shape
    dy = torch.randint(-(height // 8), height // 8 + 1, (n, 1), generator=rng)
    dx = torch.randint(-(width // 8), width // 8 + 1, (n, 1), generator=rng)
    rows = (torch.arange(height) + dy).clamp(-1, height) + 1
    columns = (torch.arange(width) + dx).clamp(-1, width) + 1
    padded = F.pad(pixels, (1, 1, 1, 1), value=-1.0)
    batch = torch.arange(n)[:, None, None]
    return padded.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _cutout(pixels: Tensor, rng: torch.Generator) -> Tensor:
    """A square of a third of the side is blanked to mid-grey."""
    n, _, height, width = pixels.shape
    half = height // 6
    centre_y = torch.randint(height, (n, 1), generator=rng)
    centre_x = torch.randint(width, (n, 1), generator=rng)
    inside_y = (torch.arange(height) - centre_y).abs() <= half
    inside_x = (torch.arange(width) - centre_x).abs() <= half
    kept = ~(inside_y[:, :, None] & inside_x[:, None, :])
    return pixels * kept[:, None]


def _uniform(n: int, rng: torch.Generator) -> Tensor:
    return torch.rand(n, 1, 1, 1, generator=rng)
