"""A style-based generator of latents, text-conditioned, after StyleGAN-T.

Sauer et al., "StyleGAN-T: Unlocking the Power of GANs for Fast Large-Scale Text-to-Image Synthesis", arXiv 2301.09515,
section 3.1; modulation and demodulation are those of Karras et al., "Analyzing and Improving the Image Quality of
StyleGAN", arXiv 1912.04958, section 2.2.

    paper                       here
    z, f(z)                     z, the mapping network, which the text bypasses
    w = [f(z), c_text]          style, to which every layer's affine map is applied
    s = s1 * s2 + s3            second-order styles
    residual convolutions       ResidualBlock: group norm, two convolutions, a layer scale that starts near zero
    per-prompt mean of w        mean_style with the prompt's text, as only f(z) varies
    psi                         truncation_psi

What StyleGAN-T's generator has and this has not: noise inputs, growing resolutions. It writes pixels; this writes
latents, of which the teacher's own decoder makes images, so that all methods of a comparison share it.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn


def caption_vector(embeds: Tensor, pooled: Tensor) -> Tensor:
    """What the generator is told of a caption, (N, P + D): the pooled embedding and the last token's of both encoders.

    The encoders are causal, so the last token has read the whole caption.
    """
    return torch.cat([pooled, embeds[:, -1]], dim=1)


class StyleGenerator(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """z (N, z_width) and a caption (N, text_width) -> scaled latents (N, out_channels, size, size).

    Args:
        out_channels: Of the latents.
        sample_size: Their side, 4 times a power of two.
        text_width: Of the caption's vector.
        z_width: Numbers of z; 64 in StyleGAN-T.
        style_width: Numbers of f(z).
        text_style_width: What the caption is projected to before it joins f(z).
        channels: Of all feature maps.
        blocks: Residual blocks at each resolution.
        layer_scale: Where their layer scale starts, 1e-5 in StyleGAN-T.
    """

    mean_style: Tensor

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        out_channels: int = 4,
        sample_size: int = 64,
        text_width: int = 3328,
        z_width: int = 64,
        style_width: int = 128,
        text_style_width: int = 128,
        channels: int = 128,
        blocks: int = 2,
        layer_scale: float = 1e-5,
    ) -> None:
        super().__init__()
        doublings = int(math.log2(sample_size // 4))
        if 4 * 2**doublings != sample_size:
            raise ValueError(f"sample_size must be 4 times a power of two, got {sample_size}")
        self.mapping = nn.Sequential(
            nn.Linear(z_width, style_width), nn.LeakyReLU(0.2), nn.Linear(style_width, style_width), nn.LeakyReLU(0.2)
        )
        self.text = nn.Linear(text_width, text_style_width)
        self.constant = nn.Parameter(torch.randn(1, channels, 4, 4))
        w_width = style_width + text_style_width
        self.levels = nn.ModuleList(
            Level(channels, out_channels, w_width, blocks, layer_scale) for _ in range(doublings + 1)
        )
        self.register_buffer("mean_style", torch.zeros(style_width))

    def forward(self, z: Tensor, text: Tensor, truncation_psi: float = 1.0) -> Tensor:
        """Scaled latents (N, out_channels, size, size); at `truncation_psi` 0 every z gives the caption's mean."""
        style = self.mapping(F.normalize(z, dim=1) * z.shape[1] ** 0.5)
        if truncation_psi != 1.0:
            style = torch.lerp(self.mean_style.to(style), style, truncation_psi)
        w = torch.cat([style, self.text(F.layer_norm(text, text.shape[1:]))], dim=1)
        x = self.constant.expand(len(z), -1, -1, -1)
        latents: Tensor | None = None
        for level in self.levels:
            if latents is not None:
                x, latents = (F.interpolate(y, scale_factor=2.0, mode="bilinear") for y in (x, latents))
            x, out = level(x, w)
            latents = out if latents is None else latents + out
        if latents is None:
            raise RuntimeError("a generator has at least one level")
        return latents

    @torch.no_grad()
    def measure_mean_style(self, n: int = 10_000, seed: int = 0) -> None:
        """Set `mean_style`, which truncation goes to, to the mean of f(z) over `n` fixed z."""
        rng = torch.Generator().manual_seed(seed)
        z = torch.randn(n, self.config.z_width, generator=rng).to(self.mean_style)
        self.mean_style.copy_(self.mapping(F.normalize(z, dim=1) * z.shape[1] ** 0.5).mean(dim=0))


class Level(nn.Module):
    """One resolution: a convolution, residual blocks, and what they add to the latents (output skips)."""

    def __init__(self, channels: int, out_channels: int, w_width: int, blocks: int, layer_scale: float) -> None:
        super().__init__()
        self.entry = ModulatedConv(channels, channels, 3, w_width)
        self.blocks = nn.ModuleList(ResidualBlock(channels, w_width, layer_scale) for _ in range(blocks))
        self.exit = ModulatedConv(channels, out_channels, 1, w_width, demodulate=False)

    def forward(self, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        x = _activated(self.entry(x, w))
        for block in self.blocks:
            x = block(x, w)
        return x, self.exit(x, w)


class ResidualBlock(nn.Module):
    """x + scale * convolutions of the normalised x; `scale` has a number for each channel."""

    def __init__(self, channels: int, w_width: int, layer_scale: float, groups: int = 32) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(math.gcd(groups, channels), channels)
        self.first = ModulatedConv(channels, channels, 3, w_width)
        self.second = ModulatedConv(channels, channels, 3, w_width)
        self.scale = nn.Parameter(torch.full((channels, 1, 1), layer_scale))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        y = _activated(self.first(self.norm(x), w))
        added: Tensor = self.scale * _activated(self.second(y, w))
        return x + added


class ModulatedConv(nn.Module):
    """A convolution whose filters each image scales by its own style, and rescales to unit norm where `demodulate`.

    The filters are left as they are: scaling the input channels and then the output channels is the same.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, w_width: int, *, demodulate: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel) / (in_channels**0.5 * kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.affine = nn.Linear(w_width, 3 * in_channels)
        nn.init.constant_(self.affine.bias[2 * in_channels :], 1.0)
        self.demodulate = demodulate

    def style(self, w: Tensor) -> Tensor:
        """Second-order styles (N, in_channels)."""
        first, second, third = self.affine(w).chunk(3, dim=1)
        styles: Tensor = first * second + third
        return styles

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style = self.style(w)
        y = F.conv2d(x * style[:, :, None, None], self.weight, padding=self.weight.shape[-1] // 2)
        if self.demodulate:
            energy = self.weight.square().sum(dim=(2, 3)) @ style.square().T  # (out, N)
            y = y * (energy.T + 1e-8).rsqrt()[:, :, None, None]
        return y + self.bias[:, None, None]


def _activated(x: Tensor) -> Tensor:
    """Leaky ReLU that keeps the variance of a normal input."""
    return F.leaky_relu(x, 0.2) * 2**0.5
