"""The diffusion-GAN objective. Xu et al., "UFOGen", arXiv 2311.09257, section 3.

    paper                         here
    G_theta(x_t, t), x'_0         generator.x0, x0_fake
    x_{t-1} ~ q(x_{t-1} | x_0)    real: an image under fresh noise at t - 1
    x'_{t-1} ~ q(x_{t-1} | x'_0)  fake: the generator's sample under fresh noise at t - 1
    D_phi(x_{t-1}, t - 1)         discriminator, the pretrained network's contracting half with heads
    gamma_t |x_0 - x'_0|^2        reconstruction: gamma_t = SNR, the squared error of the noise
    lambda_KL                     recipe.reconstruction_weight

Earlier diffusion GANs drew x'_{t-1} from the posterior given x_t, which ties it to x_t and needs several steps. Here
both come from q(x_{t-1} | x_0), so that only the distributions of x_0 are compared, and one step is enough. At the last
timestep of zero terminal SNR the reconstruction weighs nothing: noise alone does not tell which image it belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from methods.adversarial.backbone import frozen
from methods.adversarial.logistic import logistic_discriminator, logistic_generator
from methods.distill.denoiser import Condition, Denoiser
from methods.distill.draws import Draws
from methods.distill.objective import Batch, Objective
from methods.ufogen.recipe import UfoGenRecipe


@dataclass(frozen=True)
class _Played:
    """What the generator's move leaves for the discriminator's."""

    x0_fake: Tensor
    before: Tensor


class UfoGenObjective(Objective):
    """Batches hold scaled "latents" (N, C, H, W) and "condition", a `Condition`.

    The generator comes first in a step in which it learns, and the discriminator learns from the same samples under
    other noise.

    Args:
        generator: Trained; starts from the pretrained weights.
        discriminator: Trained; called as (x_t, timesteps, condition), gives a list of logits. `UNetDiscriminator` of a
            copy of the pretrained network is the paper's.
        recipe: Every choice.

    Raises:
        ValueError: where a noise-predicting generator would have to see zero terminal SNR.
    """

    def __init__(self, generator: Denoiser, discriminator: nn.Module, recipe: UfoGenRecipe) -> None:
        if generator.prediction_type == "epsilon" and generator.schedule.zero_terminal_snr:
            raise ValueError("a noise-predicting generator has no x0 at zero terminal SNR; let it predict v")
        self.generator, self.discriminator, self.recipe = generator, discriminator, recipe
        self._played: _Played | None = None
        self._leading = recipe.discriminator_lead > 0

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        return {"student": self.generator.unet, "discriminator": self.discriminator}

    def updates(self, network: str, step: int) -> bool:
        """The generator waits for the discriminator's lead."""
        return network != "student" or step >= self.recipe.discriminator_lead

    def after_step(self, step: int) -> None:
        self._leading = step + 1 < self.recipe.discriminator_lead

    def losses(self, network: str, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        if network == "student":
            return self._generator_losses(batch, draws)
        return self._discriminator_losses(batch, draws)

    def _generator_losses(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        x0, condition = batch["latents"], batch["condition"]
        x0_fake, t, before = self._sample(batch, draws)
        self._played = _Played(x0_fake.detach(), before)
        with frozen(self.discriminator):
            adversarial = logistic_generator(self._judged(x0_fake, before, condition, draws))
        weighted = self.recipe.reconstruction_weight * self.reconstruction(x0_fake, x0, t)
        return {"adversarial": adversarial, "reconstruction": weighted}

    def _discriminator_losses(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        """On the sample that the generator's losses were just computed from; on a fresh one where they were not."""
        if self._played is None and not self._leading:
            raise RuntimeError("the generator's losses come first in a step")
        played, self._played = self._played or self._sampled(batch, draws), None
        real = self._judged(batch["latents"], played.before, batch["condition"], draws)
        fake = self._judged(played.x0_fake, played.before, batch["condition"], draws)
        return {"adversarial": logistic_discriminator(real, fake)}

    @torch.no_grad()
    def _sampled(self, batch: Batch, draws: Draws) -> _Played:
        x0_fake, _, before = self._sample(batch, draws)
        return _Played(x0_fake, before)

    def _sample(self, batch: Batch, draws: Draws) -> tuple[Tensor, Tensor, Tensor]:
        """x0_fake (N, C, H, W), the timesteps it was sampled at, and those at which it is judged."""
        x0 = batch["latents"]
        t, before = self.timesteps(len(x0), draws)
        x_t = self.generator.schedule.add_noise(x0, draws.normal(*x0.shape).to(x0), t)
        return self.generator.x0(x_t, t, batch["condition"]), t, before

    def _judged(self, x0: Tensor, timesteps: Tensor, condition: Condition, draws: Draws) -> list[Tensor]:
        """The discriminator's logits of `x0` under fresh noise at `timesteps`."""
        x_t = self.generator.schedule.add_noise(x0, draws.normal(*x0.shape).to(x0), timesteps)
        logits: list[Tensor] = self.discriminator(x_t, timesteps, condition)
        return logits

    def timesteps(self, n: int, draws: Draws) -> tuple[Tensor, Tensor]:
        """t and t - 1, int64 (n,) each: the second is one of the intervals below, at least 0."""
        total = len(self.generator.schedule)
        t = (draws.stratified(n) * total).long()
        t = torch.where(draws.uniform(n) < self.recipe.terminal_share, torch.full_like(t, total - 1), t)
        return t, (t - total // self.recipe.intervals).clamp_min(0)

    def reconstruction(self, x0_fake: Tensor, x0: Tensor, t: Tensor) -> Tensor:
        """E SNR_t |x0_fake - x0|^2, a mean over images and their numbers."""
        alpha, sigma = self.generator.schedule.at(t, x0)
        return (alpha / sigma * (x0_fake - x0)).square().mean()
