"""The recipe of adversarial diffusion distillation: what the paper gives, and every choice that it leaves open.

Sauer et al., "Adversarial Diffusion Distillation", arXiv 2311.17042, section 3 and appendix A.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from methods.adversarial.augment import Augmentation
from methods.adversarial.conditions import POOLED
from methods.adversarial.discriminator import HeadNorm
from methods.distill.loop import TrainConfig

Weighting = Literal["exponential", "sds", "nfsd"]
ScoreWeight = Literal["sigma-squared", "constant"]
TerminalInput = Literal["noise", "schedule"]


@dataclass(frozen=True)
class AddRecipe:
    """Above the line what the paper gives, below it what it leaves open and why we chose what we did.

    Given by the paper:
        distill_weight: lambda, 2.5 in all its experiments; 0 leaves out the term, and with it the teacher.
        adversarial_weight: of the adversarial term, 1; 0 leaves it out, and the discriminator plays unheard.
        r1_gamma: gamma, on each head's input features.
        weighting: "exponential" c(t) = alpha_t, falling with noise (its ablations); "sds" c(t) = alpha_t / (2 sigma_t)
            w(t); "nfsd" the same c(t) with the noise estimate of arXiv 2310.17590 (see `methods.add.distillation`).
        features: the feature network by name; "dinov2-small" is the paper's, the shapes suite has eyes of its own.
        condition_text, condition_image: c_text and c_img of the projection; each can be switched off (its table 1b).
        caption_encoder: what embeds the caption for c_text, CLIP ViT-g/14 in the paper. "pooled" is the student's own
            pooled embedding, which SDXL has from a CLIP; another name is that of an encoder whose embeddings the
            batches carry (`methods.adversarial.conditions`).
        teacher_steps: consecutive denoising steps of the teacher; it finds one sufficient.
        augmentation: of real and fake images before the features, as StyleGAN-T does; the paper follows its procedure.

    Left open by the paper:
        student_timesteps: N = 4 and the last is T; the other three are those that trailing spacing visits at 4 steps,
            so that sampling by the published scheduler's spacing sees what training saw. 1, 2 and 4 steps are subsets.
        terminal_input: what zero terminal SNR means. "noise": at T inputs are sigma_T eps, with no data in them, while
            every conversion keeps the schedule's own alpha_T; it is what the released Turbo scheduler feeds (initial
            noise of its largest sigma) and needs no conversion of a noise-predicting teacher. Where the schedule has
            zero terminal SNR it changes nothing. "schedule": alpha_T x0 + sigma_T eps, whatever alpha_T is.
        teacher_timesteps: t of the re-noised sample, uniform over low..high - 1. The ends are left out, as score
            distillation does: at the clean end the teacher adds nothing, at the noisy end it has forgotten the sample.
        teacher_guidance: scale of the teacher's prediction: that at which this teacher is sampled, as the student is to
            replace guided sampling without having guidance of its own.
        score_weight: w(t) of "sds" and "nfsd": "sigma-squared" is DreamFusion's 1 - alpha_t^2, "constant" is 1.
        negative_below: "nfsd" takes the negative condition at this timestep and above (200 in its paper).
        distance_scale: factor of the mean squared pixel error. The paper writes a squared norm and does not say whether
            it sums or averages. On the shapes suite's validation images 160 drew all backgrounds to their mean, 40 kept
            three of four kinds, 10 kept all; at 10 the distillation's gradient of the student's latents is about an
            eighth of the adversarial one.
        head_norm: of the blocks of its heads, "batch" as StyleGAN-T has it or "none" (see
            methods.adversarial.discriminator). Without it one step was blurred where with it objects had edges after an
            eighth of the images.
        discriminator_lead: steps in which the discriminator alone learns, on the samples of the student as it starts.
            The better those are, the longer new heads need to see anything wrong with them, and until they do their
            gradient is noise: from a student that was consistency-distilled, FD rose from 2.6 to 4.7 in 100 steps
            without a lead, and fell to 2.2 in 200 with one of 150.
        optimizer, student_rate, vector_rate: Muon for the student's matrices and filters, AdamW at `vector_rate` for
            the rest, as this suite trains its teacher and its other students.
        discriminator_optimizer, discriminator_rate: Muon again. On the features of a frozen student it reached in 10
            updates the hinge loss that AdamW as StyleGAN-T has it (2e-3, no first moment) reached in 60.
        momentum, betas: of Muon and of AdamW. A game wants little: with Muon's usual 0.95 all backgrounds changed
            colour together, back and forth.
        ema_decay: the averaged student is what ships: an adversarial student never settles, its average does.
        max_grad_norm: of each player's gradient.
    """

    distill_weight: float = 2.5
    adversarial_weight: float = 1.0
    r1_gamma: float = 1e-5
    weighting: Weighting = "exponential"
    features: str = "dinov2-small"
    condition_text: bool = True
    condition_image: bool = True
    caption_encoder: str = POOLED
    teacher_steps: int = 1
    augmentation: tuple[Augmentation, ...] = get_args(Augmentation)

    student_timesteps: tuple[int, ...] = (999, 749, 499, 249)
    terminal_input: TerminalInput = "noise"
    teacher_timesteps: tuple[int, int] = (20, 980)
    teacher_guidance: float = 4.0
    score_weight: ScoreWeight = "sigma-squared"
    negative_below: int = 200
    distance_scale: float = 10.0
    head_norm: HeadNorm = "batch"
    discriminator_lead: int = 0
    optimizer: Literal["adamw", "muon"] = "muon"
    student_rate: float = 1e-3
    vector_rate: float = 3e-4
    discriminator_optimizer: Literal["adamw", "muon"] = "muon"
    discriminator_rate: float = 1e-2
    momentum: float = 0.5
    betas: tuple[float, float] = (0.0, 0.99)
    ema_decay: float = 0.99
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        """Raises ValueError for a choice that is not one."""
        for name, kind in (
            ("weighting", Weighting),
            ("score_weight", ScoreWeight),
            ("terminal_input", TerminalInput),
            ("head_norm", HeadNorm),
        ):
            _check(name, getattr(self, name), get_args(kind))
        for name in self.augmentation:
            _check("augmentation", name, get_args(Augmentation))
        if not self.student_timesteps or min(self.student_timesteps) < 0:
            raise ValueError(f"student_timesteps must be timesteps of 0 or more, got {self.student_timesteps}")
        if self.distill_weight < 0 or self.adversarial_weight < 0 or not self.distill_weight + self.adversarial_weight:
            raise ValueError("distill_weight and adversarial_weight must be 0 or more, and one of them more than 0")
        if self.teacher_steps < 1:
            raise ValueError(f"teacher_steps must be 1 or more, got {self.teacher_steps}")
        if self.discriminator_lead < 0:
            raise ValueError(f"discriminator_lead must be 0 steps or more, got {self.discriminator_lead}")
        if self.weighting == "nfsd" and self.teacher_steps > 1:
            raise ValueError("weighting 'nfsd' is defined by one noise estimate; use teacher_steps=1")

    @property
    def teacher_evaluations(self) -> int:
        """Of a training image: guided steps, or the three passes of a noise-free score; none without the term."""
        if not self.distill_weight:
            return 0
        return 3 if self.weighting == "nfsd" else 2 * self.teacher_steps

    def training(self, *, steps: int, batch_size: int, seed: int, **changes: Any) -> TrainConfig:
        """The loop's configuration with this recipe's optimiser, rates and average; `changes` are other fields."""
        defaults: dict[str, Any] = {"warmup_steps": 50, "decay_fraction": 0.5, "weight_decay": 0.0}
        return TrainConfig(
            steps=steps,
            batch_size=batch_size,
            seed=seed,
            optimizer=self.optimizer,
            optimizers={"discriminator": self.discriminator_optimizer},
            learning_rate=self.student_rate,
            vector_rate=self.vector_rate,
            learning_rates={"discriminator": self.discriminator_rate},
            momentum=self.momentum,
            betas=self.betas,
            ema_decay=self.ema_decay,
            max_grad_norm=self.max_grad_norm,
            **{**defaults, **changes},
        )


def _check(field: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{field} must be one of {', '.join(known)}, got {value!r}")
