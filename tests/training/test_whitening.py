"""Whitened latents: the same pictures from latents in which no direction drowns."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from bench.suites.shapes.generator.networks import make_vae
from bench.suites.shapes.render import render
from bench.suites.shapes.scenes import make_scenes
from bench.suites.shapes.training.stages import decode, encode
from bench.suites.shapes.training.vae import WHITENING_FLOOR, whiten


def lopsided() -> AutoencoderKL:
    """A random autoencoder some of whose latent directions are far smaller than others."""
    torch.manual_seed(0)
    vae = make_vae().eval().requires_grad_(False)
    vae.quant_conv.weight[:8] *= torch.logspace(-0.5, 1.5, 8)[:, None, None, None]
    vae.quant_conv.bias[:8] += 0.7
    return vae


def deviations(latents: Tensor) -> Tensor:
    """Standard deviations along the principal directions, smallest first."""
    rows = latents.double().permute(0, 2, 3, 1).flatten(0, 2)
    return torch.linalg.eigvalsh(torch.cov(rows.T)).clamp_min(0).sqrt()


def test_pictures_stay_and_latents_become_white() -> None:
    vae, images = lopsided(), render(make_scenes("validation", range(64)))
    before, plain = encode(vae, images), decode(vae, encode(vae, images))
    whiten(vae, before)
    after = encode(vae, images)
    # pixels are rounded to bytes; float32 through one more change of basis moves them by at most one level
    assert int((decode(vae, after).int() - plain.int()).abs().max()) <= 1

    was, now = deviations(before), deviations(after)
    assert was[-1] / was[0] > 20
    kept = was > 2 * WHITENING_FLOOR
    assert now[kept].max() / now[kept].min() < 1.2
    assert now[-1] / now[0] < was[-1] / was[0] / 2
    assert float(after.mean(dim=(0, 2, 3)).abs().max()) < 1e-3
    assert abs(float(after.double().square().mean()) - 1) < 1e-3


def test_the_encoder_becomes_deterministic() -> None:
    vae, images = lopsided(), render(make_scenes("validation", range(16)))
    whiten(vae, encode(vae, images))
    pixels = images.float() / 127.5 - 1
    posterior = vae.encode(pixels).latent_dist
    assert float(posterior.std.max()) < 1e-4
    assert torch.isfinite(posterior.sample(generator=torch.Generator().manual_seed(0))).all()
