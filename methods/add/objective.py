"""Adversarial diffusion distillation. Sauer et al., arXiv 2311.17042, section 3.

    paper                     here
    theta, psi, phi           student, teacher, discriminator
    T_student = {tau_1..n}    recipe.student_timesteps, the last one the noisiest
    x_s                       x_s: noised real latents
    x-hat_theta(x_s, s)       x0_student
    x-hat_psi(x-hat_theta,t)  x0_teacher, from the re-noised and detached student sample
    c(t)                      recipe.weighting; exponential is alpha_t
    lambda                    recipe.distill_weight, 2.5
    gamma                     recipe.r1_gamma, 1e-5, on the input features of each head

The order within a step is the student first and then the discriminator, on the same noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from methods.add.augment import augment
from methods.add.discriminator import Discriminator, FrozenFeatures, hinge_discriminator, hinge_generator, r1_penalty
from methods.distill.denoiser import Condition, Denoiser
from methods.distill.draws import Draws
from methods.distill.objective import Batch, Objective


@dataclass(frozen=True)
class AddRecipe:
    """What the paper gives (lambda, gamma, N = 4, tau_n = T) and, below it, what it leaves open and we chose.

    `student_timesteps` are those that trailing spacing visits at 4 steps, so sampling sees what training saw.
    `teacher_timesteps` bounds t of the re-noised sample; `teacher_guidance` is the scale of its prediction.
    `distance_scale` multiplies the mean squared pixel error: the paper does not say whether its norm sums or averages.
    """

    distill_weight: float = 2.5
    r1_gamma: float = 1e-5
    student_timesteps: tuple[int, ...] = (999, 749, 499, 249)
    teacher_timesteps: tuple[int, int] = (20, 980)
    teacher_guidance: float = 2.0
    distance_scale: float = 4.0


class AddObjective(Objective):
    """Batches hold scaled "latents" (N, C, H, W), "pixels" (N, 3, H, W) in -1..1 of the same images, "condition"."""

    def __init__(
        self, student: Denoiser, teacher: Denoiser, vae: AutoencoderKL, features: FrozenFeatures, recipe: AddRecipe
    ) -> None:
        self.student, self.teacher, self.vae, self.features, self.recipe = student, teacher, vae, features, recipe
        pooled_width = int(student.unet.config.projection_class_embeddings_input_dim) - 6 * int(
            student.unet.config.addition_time_embed_dim
        )
        self.discriminator = Discriminator(len(features.depths), features.width, pooled_width + features.width)
        self._fake: Tensor | None = None

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        return {"student": self.student.unet, "discriminator": self.discriminator}

    def losses(self, network: str, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        if network == "student":
            return self._student_losses(batch, draws)
        return self._discriminator_losses(batch, draws)

    def _student_losses(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        x0_student = self._student_sample(batch, draws)
        fake = self.decode(x0_student)
        self._fake = fake.detach()
        tokens, _ = self.features(augment(fake, draws))
        adversarial = hinge_generator(self.discriminator(tokens, self._conditions(batch)))
        distill = distillation_loss(self, x0_student, fake, batch["condition"], draws)
        return {"adversarial": adversarial, "distill": self.recipe.distill_weight * distill}

    def _discriminator_losses(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        """On the sample that the student's losses were just computed from."""
        if self._fake is None:
            raise RuntimeError("the student's losses come first in a step")
        conditions = self._conditions(batch)
        with torch.no_grad():
            real, _ = self.features(augment(batch["pixels"], draws))
            fake, _ = self.features(augment(self._fake, draws))
        real = [tokens.requires_grad_() for tokens in real]
        on_real = self.discriminator(real, conditions)
        hinge = hinge_discriminator(on_real, self.discriminator(fake, conditions))
        self._fake = None
        return {"hinge": hinge, "r1": self.recipe.r1_gamma * r1_penalty(on_real, real)}

    def _student_sample(self, batch: Batch, draws: Draws) -> Tensor:
        """x0_student from noised real latents, s uniform over the student's timesteps."""
        x0, taus = batch["latents"], torch.tensor(self.recipe.student_timesteps)
        s = taus[draws.integers(0, len(taus), len(x0))]
        x_s = self.student.schedule.add_noise(x0, draws.normal(*x0.shape), s)
        return self.student.x0(x_s, s, batch["condition"])

    def _conditions(self, batch: Batch) -> Tensor:
        """c_text and c_img: the pooled text embedding and the real image's class token, (N, D)."""
        with torch.no_grad():
            _, image = self.features(batch["pixels"])
        return torch.cat([batch["condition"].pooled, image], dim=1)

    def decode(self, latents: Tensor) -> Tensor:
        """Scaled latents -> pixels, about -1..1; the gradient passes."""
        pixels: Tensor = self.vae.decode(latents / self.vae.config.scaling_factor).sample
        return pixels


def distillation_loss(
    objective: AddObjective, x0_student: Tensor, fake: Tensor, condition: Condition, draws: Draws
) -> Tensor:
    """E c(t) d(x0_student, sg(x0_teacher)) in pixels, c(t) = alpha_t, d the squared error."""
    recipe, teacher = objective.recipe, objective.teacher
    low, high = recipe.teacher_timesteps
    t = draws.integers(low, high, len(x0_student))
    with torch.no_grad():
        x_t = teacher.schedule.add_noise(x0_student, draws.normal(*x0_student.shape), t)
        x0_teacher, _ = teacher.guided(x_t, t, condition, recipe.teacher_guidance)
        wanted = objective.decode(x0_teacher)
    alpha, _ = teacher.schedule.at(t, fake)
    return recipe.distance_scale * (alpha.flatten() * (fake - wanted).square().mean(dim=(1, 2, 3))).mean()
