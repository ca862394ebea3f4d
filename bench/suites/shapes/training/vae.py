"""Train the autoencoder: squared error in pixels with a light Kullback-Leibler term."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from methods.distill.objective import Batch, Objective

KL_WEIGHT = 5e-5  # per latent dimension, against the mean squared error on the [-1, 1] scale


class AutoencoderObjective(Objective):
    """Batches hold "images": uint8 (N, 3, H, W)."""

    def __init__(self, vae: AutoencoderKL) -> None:
        self.vae = vae

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        return {"vae": self.vae}

    def losses(self, network: str, batch: Batch, rng: torch.Generator) -> Mapping[str, Tensor]:
        pixels = to_unit_range(batch["images"])
        posterior = self.vae.encode(pixels).latent_dist
        decoded = self.vae.decode(posterior.sample(generator=rng)).sample
        return {
            "mse": (decoded - pixels).square().mean(),
            "kl": KL_WEIGHT * posterior.kl().mean() / posterior.mean[0].numel(),
        }


def to_unit_range(images: Tensor) -> Tensor:
    """uint8 0..255 -> float32 -1..1."""
    return images.float() / 127.5 - 1


def psnr_db(decoded: Tensor, images: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image in dB; both uint8 (N, 3, H, W)."""
    error = (decoded.double() - images.double()).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(255**2 / error.clamp_min(1e-12))
