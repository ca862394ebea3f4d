"""Train the autoencoder: squared error in pixels with a light Kullback-Leibler term."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from methods.distill.draws import Draws
from methods.distill.objective import Batch, Objective

KL_WEIGHT = 5e-5  # per latent dimension, against the mean squared error on the [-1, 1] scale

WHITENING_FLOOR = 0.15
"""Directions of a smaller standard deviation than this are raised by less: below it lies what the decoder ignores."""

_DETERMINISTIC_LOG_VARIANCE = -20.0


class AutoencoderObjective(Objective):
    """Batches hold "images": uint8 (N, 3, H, W)."""

    def __init__(self, vae: AutoencoderKL) -> None:
        self.vae = vae

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        return {"vae": self.vae}

    def losses(self, network: str, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        pixels = to_unit_range(batch["images"])
        posterior = self.vae.encode(pixels).latent_dist
        decoded = self.vae.decode(posterior.mean + posterior.std * draws.normal(*posterior.mean.shape)).sample
        return {
            "mse": (decoded - pixels).square().mean(),
            "kl": KL_WEIGHT * posterior.kl().mean() / posterior.mean[0].numel(),
        }


@torch.no_grad()
def whiten(vae: AutoencoderKL, latents: Tensor) -> None:
    """Change the basis of the latents so that a denoiser sees every direction: same pictures, near-white latents.

    A freshly trained autoencoder puts most variance into a few directions (colour, background), and what tells a star
    from a cross into others of a thirtieth of their standard deviation, which noise hides at almost every timestep. The
    linear map is folded into `quant_conv` and `post_quant_conv`, so the result is an ordinary `AutoencoderKL`. The
    encoder becomes deterministic: a rotated diagonal variance would no longer be diagonal.

    Args:
        vae: Changed in place.
        latents: Posterior means of training images, float32 (N, C, H, W).
    """
    rows = latents.double().permute(0, 2, 3, 1).flatten(0, 2)
    mean = rows.mean(dim=0)
    variance, basis = torch.linalg.eigh(torch.cov(rows.T))
    scale = (variance + WHITENING_FLOOR**2).rsqrt()
    total = (scale.square() * variance).mean().sqrt()
    forward = (scale[:, None] * basis.T / total).float()
    backward = (basis / scale * total).float()
    channels = len(mean)
    moments, decode = vae.quant_conv, vae.post_quant_conv
    weight, bias = moments.weight[:, :, 0, 0], moments.bias
    bias[:channels] = forward @ (bias[:channels] - mean.float())
    weight[:channels] = forward @ weight[:channels]
    weight[channels:], bias[channels:] = 0, _DETERMINISTIC_LOG_VARIANCE
    decode.bias += decode.weight[:, :, 0, 0] @ mean.float()
    decode.weight.copy_((decode.weight[:, :, 0, 0] @ backward)[:, :, None, None])


def to_unit_range(images: Tensor) -> Tensor:
    """uint8 0..255 -> float32 -1..1."""
    return images.float() / 127.5 - 1


def psnr_db(decoded: Tensor, images: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image in dB; both uint8 (N, 3, H, W)."""
    error = (decoded.double() - images.double()).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(255**2 / error.clamp_min(1e-12))
