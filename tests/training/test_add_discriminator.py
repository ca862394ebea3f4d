"""The discriminator in parts: losses and R1 in closed form, spectral norm, virtual batches, frozen features."""

from __future__ import annotations

import itertools
from typing import get_args

import pytest
import torch
from torch import Tensor, nn
from transformers import Dinov2Config, Dinov2Model

from bench.suites.shapes.training.eye import SMALL, make_eye
from methods.adversarial.augment import augment
from methods.adversarial.discriminator import (
    VIRTUAL_BATCH,
    Discriminator,
    DiscriminatorHead,
    HeadNorm,
    hinge_discriminator,
    hinge_generator,
    r1_penalty,
)
from methods.adversarial.features import IMAGENET_MEAN, IMAGENET_STD, FrozenFeatures, _readout, dinov2_features
from tests.training.tiny_add import draws, gradient_norm


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_hinge_losses_equal_their_closed_forms() -> None:
    real, fake = [torch.tensor([[2.0, 0.5]])], [torch.tensor([[-2.0, 0.0]])]
    assert float(hinge_discriminator(real, fake)) == pytest.approx((0 + 0.5) / 2 + (0 + 1) / 2)
    assert float(hinge_discriminator(fake, real)) > float(hinge_discriminator(real, fake))  # the sides are not alike
    assert float(hinge_generator(fake)) == pytest.approx(1.0)
    assert float(hinge_generator([*fake, *fake])) == pytest.approx(2.0)  # a sum over heads


def test_r1_of_a_linear_head_is_its_squared_norm() -> None:
    weight = noise(5, 7)
    tokens = noise(3, 5, 7, seed=1).requires_grad_()
    logits = (tokens * weight).sum(dim=(1, 2))
    assert float(r1_penalty([logits], [tokens])) == pytest.approx(float(weight.square().sum()), rel=1e-5)
    assert float(r1_penalty([2 * logits], [tokens])) == pytest.approx(4 * float(weight.square().sum()), rel=1e-5)


def test_r1_is_on_each_heads_own_features() -> None:
    """Two linear heads: the sum of both squared norms, whatever the features' own scale."""
    weights = [noise(5, 7), noise(5, 7, seed=2)]
    tokens = [(k * noise(3, 5, 7, seed=3)).requires_grad_() for k in (1, 100)]
    logits = [(t * w).sum(dim=(1, 2)) for t, w in zip(tokens, weights, strict=True)]
    wanted = sum(float(w.square().sum()) for w in weights)
    assert float(r1_penalty(logits, tokens)) == pytest.approx(wanted, rel=1e-5)


def test_r1_trains_the_heads() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(2, 6, 4)
    tokens = [noise(8, 6, 9).requires_grad_() for _ in range(2)]
    r1_penalty(discriminator(tokens, noise(8, 4)), tokens).backward()
    assert gradient_norm(discriminator) > 0


def test_every_convolution_has_spectral_norm_one() -> None:
    torch.manual_seed(0)
    head = DiscriminatorHead(12, 4)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.mul_(10)
    for step in range(50):  # power iteration
        head(noise(8, 12, 16, seed=step), noise(8, 4))
    head.eval()
    convolutions = [module for module in head.modules() if isinstance(module, nn.Conv1d)]
    assert len(convolutions) == 3
    for convolution in convolutions:
        largest = torch.linalg.matrix_norm(convolution.weight.flatten(1), ord=2)
        assert float(largest.detach()) == pytest.approx(1.0, abs=0.02)  # what 50 iterations have not yet converged
    assert head.project is not None
    assert float(torch.linalg.matrix_norm(head.project.weight.detach(), ord=2)) > 5  # the negative control


def test_an_images_logit_depends_on_its_virtual_batch_alone() -> None:
    """So processes that share a batch in multiples of it have the logits of one process."""
    torch.manual_seed(0)
    head = DiscriminatorHead(12, 4, "batch").eval()
    tokens, condition = noise(2 * VIRTUAL_BATCH, 12, 16), noise(2 * VIRTUAL_BATCH, 4, seed=1)
    whole = head(tokens, condition)
    halves = [head(t, c) for t, c in zip(tokens.chunk(2), condition.chunk(2), strict=True)]
    assert torch.allclose(whole, torch.cat(halves), atol=1e-6)
    quarters = [head(t, c) for t, c in zip(tokens.chunk(4), condition.chunk(4), strict=True)]
    assert not torch.allclose(whole, torch.cat(quarters), atol=1e-2)


def test_logits_start_at_the_scale_of_the_hinge() -> None:
    """Whatever the features' scale: hidden states of a ViT are small. A hinge cannot learn from logits near nothing."""
    torch.manual_seed(0)
    for scale, norm in itertools.product((0.1, 1.0, 10.0), get_args(HeadNorm)):
        head = DiscriminatorHead(96, 192, norm)
        hidden = scale * noise(32, 65, 96)
        logits = head(_readout(hidden), noise(32, 192, seed=1)).detach()
        assert 0.2 < float(logits.std()) < 2


def separation(norm: HeadNorm) -> list[float]:
    """The hinge over 60 steps against fakes shifted by half a standard deviation in every channel, up or down."""
    torch.manual_seed(0)
    discriminator = Discriminator(1, 16, 0, norm)
    optimizer = torch.optim.AdamW(discriminator.parameters(), lr=2e-3, betas=(0.0, 0.99), weight_decay=0.0)
    direction = noise(16, seed=5).sign().view(1, 16, 1)
    losses = []
    for step in range(60):
        rng = torch.Generator().manual_seed(step)
        condition = torch.zeros(32, 0)
        real, fake = (torch.randn(32, 16, 16, generator=rng) for _ in range(2))
        fake = fake + 0.5 * direction
        loss = hinge_discriminator(discriminator([real], condition), discriminator([fake], condition))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def test_a_discriminator_separates_what_differs() -> None:
    losses = separation("none")
    assert losses[0] > 1.8  # at first it cannot
    assert sum(losses[-10:]) / 10 < 1.2


def test_batch_norm_of_real_and_fake_apart_hides_a_difference_of_mean() -> None:
    """Why it is not the default: after a linear map, each player's own statistics take the difference away."""
    assert sum(separation("batch")[-10:]) / 10 > 1.8


@pytest.mark.parametrize("kinds", [("colour",), ("translation",), ("cutout",), ("colour", "translation", "cutout")])
def test_augmentation_changes_each_image_and_passes_gradients(kinds: tuple[str, ...]) -> None:
    pixels = (0.5 * noise(6, 3, 32, 32)).requires_grad_()
    changed = augment(pixels, draws(), kinds)
    assert changed.shape == pixels.shape
    assert all(not torch.equal(a, b) for a, b in zip(changed, pixels, strict=True))
    changed.sum().backward()
    assert pixels.grad is not None
    assert float(pixels.grad.abs().sum()) > 0
    assert augment(pixels, draws(), ()) is pixels


def tiny_dinov2() -> Dinov2Model:
    torch.manual_seed(0)
    return Dinov2Model(
        Dinov2Config(hidden_size=24, num_hidden_layers=4, num_attention_heads=3, image_size=224, patch_size=56)
    )


def test_dinov2_resizes_and_normalises_inside() -> None:
    """Against the network called by hand on images prepared as DINOv2 expects them."""
    vit = tiny_dinov2()
    features = dinov2_features(vit)
    assert features.depths == (0, 1, 2, 3, 4)
    pixels = torch.rand(2, 3, 448, 448, generator=torch.Generator().manual_seed(0)) * 2 - 1
    tokens, image = features(pixels)
    assert [t.shape for t in tokens] == [(2, 24, 16)] * 5
    half = nn.functional.avg_pool2d((pixels + 1) / 2, 2)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.no_grad():
        output = vit((half - mean) / std, output_hidden_states=True)
        raw = vit(half, output_hidden_states=True)
    assert torch.allclose(image, output.last_hidden_state[:, 0], atol=1e-5)
    assert not torch.allclose(image, raw.last_hidden_state[:, 0], atol=1e-2)
    last = output.hidden_states[4]
    last = nn.functional.layer_norm(last, last.shape[-1:])
    assert torch.allclose(tokens[4], 0.5**0.5 * (last[:, 1:] + last[:, :1]).transpose(1, 2), atol=1e-4)
    assert float(tokens[0].std()) == pytest.approx(1.0, abs=0.3)


def test_dinov2_stays_frozen_and_passes_the_gradient_to_pixels() -> None:
    features = dinov2_features(tiny_dinov2()).train()
    assert not any(module.training for module in features.modules())
    pixels = torch.zeros(1, 3, 112, 112, requires_grad=True)
    tokens, _ = features(pixels)
    torch.stack([t.square().sum() for t in tokens]).sum().backward()
    assert pixels.grad is not None
    assert float(pixels.grad.abs().sum()) > 0
    assert all(p.grad is None for p in features.parameters())


def test_the_suites_eye_takes_pixels_as_they_are() -> None:
    eye = make_eye()
    pixels = noise(2, 3, 32, 32)
    tokens, image = FrozenFeatures(eye, SMALL.depths)(pixels)
    assert torch.allclose(image, eye(pixels).last_hidden_state[:, 0], atol=1e-5)
    assert [t.shape for t in tokens] == [(2, SMALL.width, 64)] * 5
