"""A diffusion UNet as the backbone of a discriminator: what its contracting half makes of noisy latents.

The features are those of every down block and of the middle block, by forward hooks, so that they are the network's own
whatever its configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from methods.distill.denoiser import Condition, Denoiser


class _EnoughSeen(Exception):
    """The features are complete and the expanding half of the UNet need not run; it never leaves this module."""


def unet_features(denoiser: Denoiser, x_t: Tensor, timesteps: Tensor, condition: Condition) -> list[Tensor]:
    """Features (N, C_k, H_k, W_k) of each down block and the middle block; the expanding half is not run."""
    with _watched(denoiser.unet, stop=True) as seen:
        try:
            denoiser.output(x_t, timesteps, condition)
        except _EnoughSeen:
            return seen
    raise RuntimeError("the UNet has no middle block that was called")


def output_and_features(
    denoiser: Denoiser, x_t: Tensor, timesteps: Tensor, condition: Condition
) -> tuple[Tensor, list[Tensor]]:
    """The raw output (N, C, H, W) and the same features, in one pass."""
    with _watched(denoiser.unet, stop=False) as seen:
        return denoiser.output(x_t, timesteps, condition), seen


def feature_widths(unet: Any) -> tuple[int, ...]:
    """Channels of each of the features."""
    widths = [int(width) for width in unet.config.block_out_channels]
    return (*widths, widths[-1])


class LogitHead(nn.Module):
    """Features (N, C, H, W) -> logits (N, H W), one a place: two convolutions with a group norm between them.

    The last convolution starts at zero, so that the discriminator starts undecided.
    """

    def __init__(self, width: int, groups: int = 8) -> None:
        super().__init__()
        last = nn.Conv2d(width, 1, 1)
        nn.init.zeros_(last.weight)
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(_divisor(width, groups), width), nn.SiLU(), last
        )

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.layers(features)
        return logits.flatten(1)


class UNetDiscriminator(nn.Module):
    """A UNet, trained along, with a head on each of its features.

    Args:
        denoiser: Of a UNet that belongs to this discriminator alone; it starts from the pretrained weights.
    """

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        self.unet = denoiser.unet
        self.heads = nn.ModuleList(LogitHead(width) for width in feature_widths(denoiser.unet))
        self._schedule, self._prediction_type = denoiser.schedule, denoiser.prediction_type

    def forward(self, x_t: Tensor, timesteps: Tensor, condition: Condition) -> list[Tensor]:
        """Logits (N, L_k) of each head."""
        features = unet_features(Denoiser(self.unet, self._schedule, self._prediction_type), x_t, timesteps, condition)
        return [head(feature) for head, feature in zip(self.heads, features, strict=True)]


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """No parameter of `network` is part of a graph that is built within the `with`; its inputs are."""
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


@contextmanager
def _watched(unet: Any, *, stop: bool) -> Iterator[list[Tensor]]:
    seen: list[Tensor] = []
    blocks: Sequence[nn.Module] = [*unet.down_blocks, unet.mid_block]

    def keeper(last: bool) -> Callable[[nn.Module, Any, Any], None]:
        def keep(_module: nn.Module, _args: Any, output: Any) -> None:
            seen.append(output[0] if isinstance(output, tuple) else output)
            if last and stop:
                raise _EnoughSeen

        return keep

    handles = [block.register_forward_hook(keeper(block is blocks[-1])) for block in blocks]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _divisor(width: int, most: int) -> int:
    """The largest number of groups up to `most` that divides `width`."""
    return max(groups for groups in range(1, most + 1) if width % groups == 0)
