"""A GAN from random weights, with ADD's discriminator.

Sauer et al., "StyleGAN-T", arXiv 2301.09515, whose discriminator Sauer et al., "Adversarial Diffusion Distillation",
arXiv 2311.17042, took over and gave R1 on the input features of each head (its StyleGAN-T++).

    paper            here
    G(z, c_text)     generator, then the frozen decoder
    F, D_phi,k       features, discriminator
    gamma            recipe.r1_gamma

No teacher and no noise level: the generator never sees an image, and the discriminator never sees noise. The generator
comes first in a step, and the discriminator learns from the same features of the same fakes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor, nn

from methods.adversarial.augment import augment
from methods.adversarial.discriminator import Discriminator, hinge_discriminator, hinge_generator, r1_penalty
from methods.adversarial.features import FrozenFeatures
from methods.distill.draws import Draws
from methods.distill.objective import Batch, Objective
from methods.gan.generator import caption_vector
from methods.gan.recipe import GanRecipe


@dataclass(frozen=True)
class _Played:
    """What the generator's move leaves for the discriminator's."""

    fake: list[Tensor]
    conditions: Tensor


class GanObjective(Objective):
    """Batches hold "pixels" (N, 3, H, W) in -1..1, and the "condition" of each.

    Args:
        generator: Trained; called as (z, text), gives scaled latents. `StyleGenerator`, from random weights.
        z_width: Numbers of z.
        vae: Frozen; its decoder takes latents to pixels.
        features: What the discriminator's heads read.
        pooled_width: Of the pooled embedding of a caption.
        recipe: Every choice.
    """

    def __init__(
        self,
        generator: nn.Module,
        z_width: int,
        vae: AutoencoderKL,
        features: FrozenFeatures,
        pooled_width: int,
        recipe: GanRecipe,
    ) -> None:
        self.generator, self.z_width, self.vae = generator, z_width, vae
        self.features, self.recipe = features, recipe
        condition_width = pooled_width * recipe.condition_text
        self.discriminator = Discriminator(len(features.depths), features.width, condition_width, recipe.head_norm)
        self._played: _Played | None = None

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        return {"student": self.generator, "discriminator": self.discriminator}

    def losses(self, network: str, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        if network == "student":
            return self._generator_losses(batch, draws)
        return self._discriminator_losses(batch, draws)

    def _generator_losses(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        fake = self.images(batch, draws)
        tokens, _ = self.features(augment(fake, draws, self.recipe.augmentation))
        conditions = self._conditions(batch)
        self._played = _Played([depth.detach() for depth in tokens], conditions)
        return {"adversarial": hinge_generator(self.discriminator(tokens, conditions))}

    def _discriminator_losses(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        if self._played is None:
            raise RuntimeError("the generator's losses come first in a step")
        played, self._played = self._played, None
        with torch.no_grad():
            real, _ = self.features(augment(batch["pixels"], draws, self.recipe.augmentation))
        real = [tokens.requires_grad_() for tokens in real]
        on_real = self.discriminator(real, played.conditions)
        hinge = hinge_discriminator(on_real, self.discriminator(played.fake, played.conditions))
        return {"hinge": hinge, "r1": self.recipe.r1_gamma * r1_penalty(on_real, real)}

    def images(self, batch: Batch, draws: Draws) -> Tensor:
        """Fake pixels (N, 3, H, W), about -1..1, of the captions of a batch; the gradient passes."""
        condition = batch["condition"]
        z = draws.normal(len(condition), self.z_width).to(condition.pooled)
        latents = self.generator(z, caption_vector(condition.embeds, condition.pooled))
        pixels: Tensor = self.vae.decode(latents / self.vae.config.scaling_factor).sample
        return pixels

    def _conditions(self, batch: Batch) -> Tensor:
        """c_text, normalised, (N, P); (N, 0) where it is switched off."""
        pooled: Tensor = batch["condition"].pooled
        return F.layer_norm(pooled, pooled.shape[1:]) if self.recipe.condition_text else pooled[:, :0]
