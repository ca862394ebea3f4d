"""Distribution matching with a fake score network, on two time scales.

Yin et al., "Improved Distribution Matching Distillation for Fast Image Synthesis", arXiv 2405.14867, section 4; the
gradient and its weight are those of Yin et al., "One-step Diffusion with Distribution Matching Distillation", arXiv
2311.18828, section 3.2.

    paper                        here
    G_theta                      student
    mu_real, s_real              teacher: guided x0, and the score that belongs to it
    mu_fake, s_fake              fake: the denoiser of the student's samples, learning along
    F(x, t)                      schedule.add_noise
    w_t alpha_t (s_fake - s_real)   matching_gradient, x0_fake - x0_teacher per unit of |x0_student - x0_teacher|
    D                            LogitHead on the middle block of the fake score network
    backward simulation          student_input: the student's own noisy samples, not noised images

With scores s = -(x_t - alpha x0) / sigma^2 the gradient of KL(student_t, teacher_t) by the sample is
alpha (s_fake - s_real) = alpha^2 / sigma^2 (x0_fake - x0_teacher): the direction is the difference of the two x0.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from methods.adversarial.backbone import LogitHead, feature_widths, frozen, output_and_features, unet_features
from methods.adversarial.logistic import logistic_discriminator, logistic_generator
from methods.diffusion.prediction import target
from methods.diffusion.timesteps import trailing_timesteps
from methods.distill.denoiser import Condition, Denoiser
from methods.distill.draws import Draws
from methods.distill.objective import Batch, Objective
from methods.dmd2.recipe import Dmd2Recipe


class FakeScore(nn.Module):
    """A UNet, and on its middle block the head that tells the student's samples from images."""

    def __init__(self, unet: Any, *, with_head: bool) -> None:
        super().__init__()
        self.unet = unet
        self.head = LogitHead(feature_widths(unet)[-1]) if with_head else None


class Dmd2Objective(Objective):
    """Batches hold scaled "latents" (N, C, H, W), which only the GAN term reads beyond their shape, and "condition".

    The student comes first in a step in which it learns; the fake score network learns in every step, on the student's
    samples of that step.

    Args:
        student: Trained; starts from the teacher's weights.
        teacher: Frozen.
        recipe: Every choice.
        fake_unet: Trained; None is a copy of the teacher's UNet.

    Raises:
        ValueError: where a noise-predicting student would have to see zero terminal SNR, or a timestep is too large.
    """

    def __init__(self, student: Denoiser, teacher: Denoiser, recipe: Dmd2Recipe, fake_unet: Any = None) -> None:
        self.student, self.teacher, self.recipe = student, teacher, recipe
        _check_timesteps(student, teacher, recipe)
        unet = copy.deepcopy(teacher.unet).requires_grad_(True) if fake_unet is None else fake_unet
        self.fake_score = FakeScore(unet, with_head=recipe.adversarial_weight > 0)
        self.fake = Denoiser(unet, teacher.schedule, teacher.prediction_type)
        self.taus = torch.tensor(trailing_timesteps(recipe.steps, len(student.schedule)))
        self._sample: Tensor | None = None

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        return {"student": self.student.unet, "fake": self.fake_score}

    def updates(self, network: str, step: int) -> bool:
        """The student learns in the last of every `fake_updates` steps."""
        return network == "fake" or (step + 1) % self.recipe.fake_updates == 0

    def losses(self, network: str, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        if network == "student":
            return self._student_losses(batch, draws)
        return self._fake_losses(batch, draws)

    def _student_losses(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        condition: Condition = batch["condition"]
        x0_student = self.student_sample(batch, draws)
        self._sample = x0_student.detach()
        wanted = self._sample - self.matching_gradient(self._sample, condition, draws)
        terms = {"matching": 0.5 * (x0_student - wanted).square().mean()}
        if self.fake_score.head is not None:
            x_t, t = self._renoised(x0_student, draws)
            with frozen(self.fake_score):
                logits = self.fake_score.head(unet_features(self.fake, x_t, t, condition)[-1])
            terms["adversarial"] = self.recipe.adversarial_weight * logistic_generator([logits])
        return terms

    def _fake_losses(self, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        """Denoising of the student's samples at every noise level; and their head."""
        condition: Condition = batch["condition"]
        x0, self._sample = self._sample, None
        if x0 is None:
            with torch.no_grad():
                x0 = self.student_sample(batch, draws)
        n, schedule = len(x0), self.fake.schedule
        t = (draws.stratified(n) * len(schedule)).long().to(x0.device)
        eps = draws.normal(*x0.shape).to(x0)
        alpha, sigma = schedule.at(t, x0)
        x_t, wanted = alpha * x0 + sigma * eps, target(self.fake.prediction_type, x0, eps, alpha, sigma)
        if self.fake_score.head is None:
            return {"denoising": (self.fake.output(x_t, t, condition) - wanted).square().mean()}
        output, features = output_and_features(self.fake, x_t, t, condition)
        real = schedule.add_noise(batch["latents"], draws.normal(*x0.shape).to(x0), t)
        on_real = self.fake_score.head(unet_features(self.fake, real, t, condition)[-1])
        adversarial = logistic_discriminator([on_real], [self.fake_score.head(features[-1])])
        return {
            "denoising": (output - wanted).square().mean(),
            "adversarial": self.recipe.discriminator_weight * adversarial,
        }

    def student_sample(self, batch: Batch, draws: Draws) -> Tensor:
        """x0_student (N, C, H, W) from one of its own noisy inputs, the timestep uniform over the student's."""
        x_t, t = self.student_input(batch["latents"], batch["condition"], draws)
        return self.student.x0(x_t, t, batch["condition"])

    @torch.no_grad()
    def student_input(self, like: Tensor, condition: Condition, draws: Draws) -> tuple[Tensor, Tensor]:
        """What sampling would give the student: (x_t like `like`, timesteps (N,)).

        Each image starts from pure noise; one that is to be seen at a later timestep is first sampled down to it.
        """
        n = len(like)
        taus = self.taus.to(like.device)
        last = draws.integers(0, len(taus), n).to(like.device)
        x_t = draws.normal(*like.shape).to(like)
        for k in range(len(taus) - 1):
            noise = draws.normal(*like.shape).to(like)
            on = last > k
            if bool(on.any()):
                x0 = self.student.x0(x_t[on], taus[k].expand(int(on.sum())), condition.rows(on))
                x_t[on] = self.student.schedule.add_noise(x0, noise[on], int(taus[k + 1]))
        return x_t, taus[last]

    @torch.no_grad()
    def matching_gradient(self, x0_student: Tensor, condition: Condition, draws: Draws) -> Tensor:
        """The direction in which the sample has to go down, like it; each image at a noise level of its own."""
        x_t, t = self._renoised(x0_student, draws)
        x0_teacher, _ = self.teacher.guided(x_t, t, condition, self.recipe.teacher_guidance)
        gradient = self.fake.x0(x_t, t, condition) - x0_teacher
        if not self.recipe.normalised:
            return gradient
        size = (x0_student - x0_teacher).abs().flatten(1).mean(dim=1)
        return gradient / size.clamp_min(1e-6).view(-1, *([1] * (gradient.ndim - 1)))

    def _renoised(self, x0: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """The sample under fresh noise at a timestep of the scores: (x_t, timesteps)."""
        t = draws.integers(*self.recipe.score_timesteps, len(x0)).to(x0.device)
        return self.teacher.schedule.add_noise(x0, draws.normal(*x0.shape).to(x0), t), t


def _check_timesteps(student: Denoiser, teacher: Denoiser, recipe: Dmd2Recipe) -> None:
    """Raise ValueError for timesteps that the schedule lacks, or at which x0 cannot be had from the noise."""
    if recipe.score_timesteps[1] > len(teacher.schedule):
        raise ValueError(f"score_timesteps end at {recipe.score_timesteps[1]}, beyond the schedule's last timestep")
    if student.prediction_type == "epsilon" and student.schedule.zero_terminal_snr:
        raise ValueError("a noise-predicting student has no x0 at zero terminal SNR; let it predict v")
