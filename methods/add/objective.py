"""Adversarial diffusion distillation. Sauer et al., arXiv 2311.17042, section 3.

    paper                     here
    theta, psi, phi           student, teacher, discriminator
    T_student = {tau_1..n}    recipe.student_timesteps, the last one the noisiest
    x_s                       x_s: noised real latents
    x-hat_theta(x_s, s)       x0_student
    L_distill, c(t), d        methods.add.distillation
    lambda                    recipe.distill_weight
    gamma                     recipe.r1_gamma, on the input features of each head

The order within a step is the student first and then the discriminator, on the same sample and the same features of it.
In the discriminator's lead it draws a sample of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor, nn

from methods.add.distillation import distillation_weight, teacher_target, weighted_distance
from methods.add.inputs import student_input, student_timesteps
from methods.add.recipe import AddRecipe
from methods.adversarial.augment import augment
from methods.adversarial.conditions import POOLED, text_condition
from methods.adversarial.discriminator import Discriminator, hinge_discriminator, hinge_generator, r1_penalty
from methods.adversarial.features import FrozenFeatures
from methods.distill.denoiser import Condition, Denoiser
from methods.distill.draws import Draws
from methods.distill.objective import Batch, Objective


@dataclass(frozen=True)
class _Played:
    """What the student's move leaves for the discriminator's: features of the fake images, and the conditions."""

    fake: list[Tensor]
    conditions: Tensor


class AddObjective(Objective):
    """Batches hold scaled "latents" (N, C, H, W), "pixels" (N, 3, H, W) in -1..1 of the same images, "condition", and,
    where the recipe names a caption encoder of its own, "caption" (N, D).

    Args:
        student: Trained; starts from the teacher's weights.
        teacher: Frozen.
        vae: Frozen; its decoder takes samples to pixels.
        features: What the discriminator's heads read.
        recipe: Every choice.
        negative: One condition (of length 1) that "nfsd" pushes away from; None is the null condition, with which its
            domain term is nothing at `recipe.negative_below` and above.
        caption_width: D of the batches' "caption".

    Raises:
        ValueError: where a noise-predicting student would have to see zero terminal SNR, or a timestep is too large, or
            the width of a caption encoder is not given.
    """

    def __init__(
        self,
        student: Denoiser,
        teacher: Denoiser,
        vae: AutoencoderKL,
        features: FrozenFeatures,
        recipe: AddRecipe,
        negative: Condition | None = None,
        caption_width: int | None = None,
    ) -> None:
        self.student, self.teacher, self.vae, self.features, self.recipe = student, teacher, vae, features, recipe
        self.negative = negative
        _check_timesteps(student, recipe)
        self.discriminator = make_discriminator(student.unet.config, features, recipe, caption_width)
        self._played: _Played | None = None
        self._leading = recipe.discriminator_lead > 0

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        return {"student": self.student.unet, "discriminator": self.discriminator}

    def updates(self, network: str, step: int) -> bool:
        """The student waits for the discriminator's lead."""
        return network != "student" or step >= self.recipe.discriminator_lead

    def after_step(self, step: int) -> None:
        self._leading = step + 1 < self.recipe.discriminator_lead

    def losses(self, network: str, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        if network == "student":
            return self._student_losses(batch, draws)
        return self._discriminator_losses(batch, draws)

    def _student_losses(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        x0_student = self.student_sample(batch, draws)
        fake = self.decode(x0_student)
        tokens, _ = self.features(augment(fake, draws, self.recipe.augmentation))
        conditions = self._conditions(batch)
        self._played = _Played([depth.detach() for depth in tokens], conditions)
        adversarial = hinge_generator(self.discriminator(tokens, conditions))
        losses = {"adversarial": self.recipe.adversarial_weight * adversarial} if self.recipe.adversarial_weight else {}
        if self.recipe.distill_weight:
            distill = self.distillation_loss(x0_student, fake, batch["condition"], draws)
            losses["distill"] = self.recipe.distill_weight * distill
        return losses

    def _discriminator_losses(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        """On the sample that the student's losses were just computed from; on a fresh one where they were not."""
        if self._played is None and not self._leading:
            raise RuntimeError("the student's losses come first in a step")
        played, self._played = self._played or self._sampled(batch, draws), None
        with torch.no_grad():
            real, _ = self.features(augment(batch["pixels"], draws, self.recipe.augmentation))
        real = [tokens.requires_grad_() for tokens in real]
        on_real = self.discriminator(real, played.conditions)
        hinge = hinge_discriminator(on_real, self.discriminator(played.fake, played.conditions))
        return {"hinge": hinge, "r1": self.recipe.r1_gamma * r1_penalty(on_real, real)}

    @torch.no_grad()
    def _sampled(self, batch: Batch, draws: Draws) -> _Played:
        fake = self.decode(self.student_sample(batch, draws))
        tokens, _ = self.features(augment(fake, draws, self.recipe.augmentation))
        return _Played(tokens, self._conditions(batch))

    def student_sample(self, batch: Batch, draws: Draws) -> Tensor:
        """x0_student (N, C, H, W) from noised real latents, s uniform over the student's timesteps."""
        x0 = batch["latents"]
        s = student_timesteps(self.recipe, len(x0), draws).to(x0.device)
        x_s = student_input(self.student.schedule, self.recipe, x0, draws.normal(*x0.shape).to(x0), s)
        return self.student.x0(x_s, s, batch["condition"])

    def distillation_loss(self, x0_student: Tensor, fake: Tensor, condition: Condition, draws: Draws) -> Tensor:
        """E c(t) d(x0_student, sg(x0_teacher)) in pixels; `fake` is `x0_student` decoded, and carries the gradient."""
        recipe, n = self.recipe, len(x0_student)
        t = draws.integers(*recipe.teacher_timesteps, n).to(x0_student.device)
        eps = draws.normal(*x0_student.shape).to(x0_student)
        negative = condition.null() if self.negative is None else self.negative.expanded(n)
        sample = x0_student.detach()
        with torch.no_grad():
            wanted = self.decode(teacher_target(self.teacher, sample, eps, t, condition, negative, recipe))
        weight = distillation_weight(recipe, *self.teacher.schedule.at(t, fake))
        return weighted_distance(fake, wanted, weight, recipe.distance_scale)

    def decode(self, latents: Tensor) -> Tensor:
        """Scaled latents -> pixels, about -1..1; the gradient passes."""
        pixels: Tensor = self.vae.decode(latents / self.vae.config.scaling_factor).sample
        return pixels

    def _conditions(self, batch: Batch) -> Tensor:
        """c_text and c_img: the caption's embedding and the real image's class token, normalised each, (N, D)."""
        pixels: Tensor = batch["pixels"]
        parts = [pixels.new_empty(len(pixels), 0)]
        if self.recipe.condition_text:
            parts.append(text_condition(batch, self.recipe.caption_encoder))
        if self.recipe.condition_image:
            with torch.no_grad():
                _, image = self.features(pixels)
            parts.append(F.layer_norm(image, image.shape[1:]))
        return torch.cat(parts, dim=1)


def make_discriminator(
    unet_config: Any, features: FrozenFeatures, recipe: AddRecipe, caption_width: int | None = None
) -> Discriminator:
    """The heads for a student with `unet_config`: one a depth of `features`, conditioned as `recipe` says.

    Raises:
        ValueError: where the recipe names a caption encoder and `caption_width`, of its embeddings, is not given.
    """
    if recipe.caption_encoder != POOLED and caption_width is None:
        raise ValueError(f"caption_encoder {recipe.caption_encoder!r} needs caption_width, that of its embeddings")
    text = caption_width if recipe.caption_encoder != POOLED else _pooled_width(unet_config)
    condition_width = (text or 0) * recipe.condition_text + features.width * recipe.condition_image
    return Discriminator(len(features.depths), features.width, condition_width, recipe.head_norm)


def _pooled_width(unet_config: Any) -> int:
    """Of the pooled embedding that a UNet of SDXL's kind reads beside six numbers of time."""
    return int(unet_config.projection_class_embeddings_input_dim) - 6 * int(unet_config.addition_time_embed_dim)


def _check_timesteps(student: Denoiser, recipe: AddRecipe) -> None:
    """Raise ValueError for timesteps that the schedule lacks, or at which x0 cannot be had from the noise."""
    most = len(student.schedule) - 1
    largest = max(*recipe.student_timesteps, recipe.teacher_timesteps[1] - 1)
    if largest > most:
        raise ValueError(f"timestep {largest} is beyond the schedule's last, {most}; choose others in the recipe")
    if student.prediction_type == "epsilon" and most in recipe.student_timesteps and student.schedule.zero_terminal_snr:
        raise ValueError(
            "a noise-predicting student has no x0 at zero terminal SNR; give it its own schedule without"
            " rescale_betas_zero_snr (terminal_input='noise' still feeds it pure noise at T) or predict v"
        )
