"""ADD's discriminator: light heads on the frozen features of a vision transformer, after StyleGAN-T.

Sauer et al., "Adversarial Diffusion Distillation", arXiv 2311.17042, section 3.2; the head's design follows
Sauer et al., "StyleGAN-T", arXiv 2301.09515: spectral norm on every convolution, kernels of 1 and of 9 tokens
(circular), a residual block scaled by the root of a half, and a projection of 64 channels.

StyleGAN-T normalises over groups of 8 images within the blocks. Real and fake images come in groups of their own, so
this removes a difference of mean between them, and it undoes the bound of spectral norm. It is a choice here
("batch"); without it ("none") a head is Lipschitz in its features, which their layer norm has brought to unit scale,
and an image's logits are its own. On the suite's images both tell real from fake in about as many steps.

    paper            here
    F                features, frozen, never in train mode
    F_k              the tokens of one depth
    D_phi,k          one DiscriminatorHead
    c_text, c_img    conditions, concatenated and projected by each head
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

HeadNorm = Literal["none", "batch"]
VIRTUAL_BATCH = 8


class DiscriminatorHead(nn.Module):
    """Tokens (N, width, L) and a condition (N, D) -> logits (N, L), one a token; D = 0 is no condition.

    `norm` is "batch" or "none". Logits start at the scale of the hinge, about a half: the projection has unit gain, and
    without batch norm the inner product is divided by 2, not by 8, for what spectral norm takes away.
    """

    def __init__(
        self, width: int, condition_width: int, norm: HeadNorm = "none", mapped: int = 64, kernel: int = 9
    ) -> None:
        super().__init__()
        self.entry = _block(width, 1, norm)
        self.residual = _block(width, kernel, norm)
        self.exit = spectral_norm(nn.Conv1d(width, mapped if condition_width else 1, 1))
        self.project = _unit_gain(condition_width, mapped) if condition_width else None
        self.scale = mapped**-0.5 * (1 if norm == "batch" else 4)

    def forward(self, tokens: Tensor, condition: Tensor) -> Tensor:
        x = self.entry(tokens)
        x = (x + self.residual(x)) * 0.5**0.5
        mapped: Tensor = self.exit(x)
        if self.project is None:
            return mapped[:, 0]
        logits: Tensor = (mapped * self.project(condition)[:, :, None]).sum(dim=1) * self.scale
        return logits


class Discriminator(nn.Module):
    """One head for each depth of the features."""

    def __init__(self, depths: int, width: int, condition_width: int, norm: HeadNorm = "none") -> None:
        super().__init__()
        self.heads = nn.ModuleList(DiscriminatorHead(width, condition_width, norm) for _ in range(depths))

    def forward(self, tokens: Sequence[Tensor], condition: Tensor) -> list[Tensor]:
        """Logits (N, L) of each head."""
        return [head(depth, condition) for head, depth in zip(self.heads, tokens, strict=True)]


class VirtualBatchNorm(nn.Module):
    """Batch normalisation over groups of `VIRTUAL_BATCH` images, without running statistics: the same in training and
    evaluation, and no image's logit depends on more than its group."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        n, channels, length = x.shape
        size = VIRTUAL_BATCH if n % VIRTUAL_BATCH == 0 else n
        groups = n // size
        grouped = x.reshape(groups, size, channels, length).transpose(0, 1).reshape(size, groups * channels, length)
        weight, bias = self.weight.repeat(groups), self.bias.repeat(groups)
        normalised = F.batch_norm(grouped, None, None, weight, bias, training=True, eps=1e-5)
        return normalised.reshape(size, groups, channels, length).transpose(0, 1).reshape(n, channels, length)


def _block(width: int, kernel: int, norm: HeadNorm) -> nn.Module:
    convolution = spectral_norm(nn.Conv1d(width, width, kernel, padding=kernel // 2, padding_mode="circular"))
    normalise = [VirtualBatchNorm(width)] if norm == "batch" else []
    return nn.Sequential(convolution, *normalise, nn.LeakyReLU(0.2))


def _unit_gain(inputs: int, outputs: int) -> nn.Linear:
    """A linear map of normal weights that keeps the variance of its input."""
    linear = nn.Linear(inputs, outputs)
    nn.init.normal_(linear.weight, std=inputs**-0.5)
    nn.init.zeros_(linear.bias)
    return linear


def hinge_discriminator(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Sum over heads of E max(0, 1 - D(real)) + E max(0, 1 + D(fake))."""
    pairs = zip(real, fake, strict=True)
    return torch.stack([F.relu(1 - r).mean() + F.relu(1 + f).mean() for r, f in pairs]).sum()


def hinge_generator(fake: Sequence[Tensor]) -> Tensor:
    """Minus the sum over heads of E D(fake)."""
    return -torch.stack([f.mean() for f in fake]).sum()


def r1_penalty(logits: Sequence[Tensor], tokens: Sequence[Tensor]) -> Tensor:
    """Sum over heads of E |grad of the head's summed logits by its own input features|^2; a graph is kept for training.

    `tokens` must require gradient and be what the heads were called on.
    """
    total = torch.stack([head.sum() for head in logits]).sum()
    gradients = torch.autograd.grad(total, list(tokens), create_graph=True)
    return torch.stack([g.square().sum(dim=(1, 2)).mean() for g in gradients]).sum()
