"""A UNet as a discriminator's backbone: its own features, half the work, and the logistic losses in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from bench.suites.shapes.generator.networks import make_unet
from methods.adversarial.backbone import (
    LogitHead,
    UNetDiscriminator,
    feature_widths,
    frozen,
    output_and_features,
    unet_features,
)
from methods.adversarial.logistic import logistic_discriminator, logistic_generator
from methods.distill.denoiser import Denoiser
from tests.training.tiny_add import denoiser, gradient_norm, latent_batch

T = torch.tensor([999, 20, 500, 300])


@pytest.fixture(scope="module")
def unet() -> Denoiser:
    torch.manual_seed(0)
    return denoiser(make_unet((16, 32)))


def inputs() -> tuple[Tensor, Tensor, object]:
    batch = latent_batch(4)
    return batch["latents"], T, batch["condition"]


def test_features_are_those_of_a_whole_pass_and_the_rest_is_not_run(unet: Denoiser) -> None:
    x_t, t, condition = inputs()
    runs: list[nn.Module] = []
    handles = [
        block.register_forward_pre_hook(lambda m, a: runs.append(m))
        for block in (*unet.unet.up_blocks, unet.unet.mid_block)
    ]
    alone = unet_features(unet, x_t, t, condition)  # type: ignore[arg-type]
    assert runs == [unet.unet.mid_block]
    output, features = output_and_features(unet, x_t, t, condition)  # type: ignore[arg-type]
    assert len(runs) == 1 + 1 + len(unet.unet.up_blocks)
    for handle in handles:
        handle.remove()
    assert torch.equal(output, unet.output(x_t, t, condition))  # type: ignore[arg-type]
    assert [f.shape[1] for f in features] == list(feature_widths(unet.unet)) == [16, 32, 32]
    assert all(torch.equal(a, b) for a, b in zip(alone, features, strict=True))
    assert not unet.unet.mid_block._forward_hooks  # nothing is left behind


def test_features_see_noise_level_and_caption(unet: Denoiser) -> None:
    x_t, t, condition = inputs()
    plain = unet_features(unet, x_t, t, condition)[-1]  # type: ignore[arg-type]
    assert not torch.allclose(plain, unet_features(unet, x_t, t.flip(0), condition)[-1], atol=1e-4)  # type: ignore[arg-type]
    assert not torch.allclose(plain, unet_features(unet, x_t, t, condition.null())[-1], atol=1e-4)  # type: ignore[attr-defined]


def test_a_discriminator_starts_undecided_and_trains_head_and_backbone(unet: Denoiser) -> None:
    x_t, t, condition = inputs()
    discriminator = UNetDiscriminator(unet)
    logits = discriminator(x_t, t, condition)  # type: ignore[arg-type]
    assert [tuple(part.shape) for part in logits] == [(4, 16), (4, 16), (4, 16)]
    assert all(bool((part == part[0, 0]).all()) for part in logits)
    for head in discriminator.heads:
        assert isinstance(head, LogitHead)
        nn.init.normal_(head.layers[3].weight)
    logistic_generator(discriminator(x_t, t, condition)).backward()  # type: ignore[arg-type, no-untyped-call]
    assert gradient_norm(discriminator.heads) > 0
    assert gradient_norm(discriminator.unet.conv_in) > 0
    assert gradient_norm(discriminator.unet.conv_out) == 0  # the expanding half is no part of it


def test_frozen_passes_the_gradient_to_the_input_alone() -> None:
    torch.manual_seed(0)
    head = LogitHead(8)
    nn.init.normal_(head.layers[3].weight)
    features = torch.randn(2, 8, 4, 4, requires_grad=True)
    with frozen(head):
        loss = head(features).sum()
    loss.backward()
    assert features.grad is not None
    assert float(features.grad.abs().sum()) > 0
    assert all(p.grad is None and p.requires_grad for p in head.parameters())


def test_logistic_losses_equal_their_closed_forms() -> None:
    real, fake = [torch.tensor([[2.0, 0.0]])], [torch.tensor([[-1.0, 1.0]])]
    probability = lambda logit: 1 / (1 + math.exp(-logit))  # noqa: E731
    wanted = -(math.log(probability(2)) + math.log(probability(0))) / 2
    wanted -= (math.log(1 - probability(-1)) + math.log(1 - probability(1))) / 2
    assert float(logistic_discriminator(real, fake)) == pytest.approx(wanted, rel=1e-6)
    assert float(logistic_discriminator(fake, real)) != pytest.approx(wanted, rel=0.1)  # the sides are not alike
    generator = -(math.log(probability(-1)) + math.log(probability(1))) / 2
    assert float(logistic_generator(fake)) == pytest.approx(generator, rel=1e-6)
    assert float(logistic_generator([*fake, *fake])) == pytest.approx(2 * generator, rel=1e-6)
    undecided = [torch.zeros(3, 1)]
    assert float(logistic_discriminator(undecided, undecided)) == pytest.approx(2 * math.log(2))
