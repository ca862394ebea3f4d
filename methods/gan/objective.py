"""A GAN from random weights, with ADD's discriminator.

Sauer et al., "StyleGAN-T", arXiv 2301.09515, whose discriminator Sauer et al., "Adversarial Diffusion Distillation",
arXiv 2311.17042, took over and gave R1 on the input features of each head (its StyleGAN-T++).

    paper            here
    G(z, c_text)     generator, then the frozen decoder
    F, D_phi,k       features, discriminator
    gamma            recipe.r1_gamma
    L_CLIP           methods.gan.guidance, weighted by recipe.clip_weight

No teacher and no noise level: the generator never sees an image, and the discriminator never sees noise. The generator
comes first in a step, and the discriminator learns from the same features of the same fakes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from methods.adversarial.augment import augment
from methods.adversarial.conditions import text_condition
from methods.adversarial.discriminator import Discriminator, hinge_discriminator, hinge_generator, r1_penalty
from methods.adversarial.features import FrozenFeatures
from methods.distill.draws import Draws
from methods.distill.objective import Batch, Objective
from methods.gan.generator import caption_vector
from methods.gan.guidance import ClipGuide, squared_angle
from methods.gan.recipe import GanRecipe


@dataclass(frozen=True)
class _Played:
    """What the generator's move leaves for the discriminator's."""

    fake: list[Tensor]
    conditions: Tensor


class GanObjective(Objective):
    """Batches hold "pixels" (N, 3, H, W) in -1..1, the "condition" of each, and "caption" (N, D) for a guide or
    where the recipe names a caption encoder of its own.

    Args:
        generator: Trained; called as (z, text), gives scaled latents. `StyleGenerator`, from random weights.
        z_width: Numbers of z.
        vae: Frozen; its decoder takes latents to pixels.
        features: What the discriminator's heads read.
        text_width: Of c_text: the pooled embedding, or what the recipe's caption encoder makes of a caption.
        recipe: Every choice.
        guide: Of CLIP guidance; it shares its embedding with the batches' "caption", of unit length.

    Raises:
        ValueError: where the recipe weighs CLIP guidance and there is no guide.
    """

    def __init__(
        self,
        generator: nn.Module,
        z_width: int,
        vae: AutoencoderKL,
        features: FrozenFeatures,
        text_width: int,
        recipe: GanRecipe,
        guide: ClipGuide | None = None,
    ) -> None:
        if recipe.clip_weight and guide is None:
            raise ValueError(f"clip_weight {recipe.clip_weight} needs a guide; give one, or set clip_weight to 0")
        self.generator, self.z_width, self.vae = generator, z_width, vae
        self.features, self.recipe, self.guide = features, recipe, guide
        condition_width = text_width * recipe.condition_text
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
        losses = {"adversarial": hinge_generator(self.discriminator(tokens, conditions))}
        if self.guide is not None:
            losses["clip"] = self.recipe.clip_weight * squared_angle(self.guide(fake), batch["caption"])
        return losses

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
        """c_text (N, P); (N, 0) where it is switched off."""
        if self.recipe.condition_text:
            return text_condition(batch, self.recipe.caption_encoder)
        pixels: Tensor = batch["pixels"]
        return pixels.new_empty(len(pixels), 0)
