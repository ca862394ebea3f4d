"""The recipe of DMD2. Yin et al., "Improved Distribution Matching Distillation", arXiv 2405.14867."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from methods.distill.loop import TrainConfig


@dataclass(frozen=True)
class Dmd2Recipe:
    """Above the line what the paper gives, below it what we chose.

    Given by the paper:
        steps: of the student; its timesteps are those of trailing spacing, the noisiest pure noise.
        fake_updates: updates of the fake score network for one of the student, 5 for its two time scales.
        teacher_guidance: scale of the real score; 8 for its SDXL.
        score_timesteps: t of the re-noised sample, uniform over low..high - 1: 2 to 98 % of the schedule.
        normalised: whether an image's gradient is divided by its mean |x0_student - x0_teacher| (DMD's weighting).
        adversarial_weight: of the student's GAN term, 5e-3 for its SDXL; 0 leaves the term and its head out.
        discriminator_weight: of the head's own loss, 1e-2 for its SDXL.

    Left open, or ours:
        student_rate, fake_rate, optimizer, vector_rate: Muon for matrices and filters, AdamW at `vector_rate` for the
            rest, as this suite trains its teacher and its other students.
        betas, max_grad_norm: of AdamW, and of each player's gradient.
        ema_decay: the averaged student is what ships; only steps in which it learned count.
    """

    steps: int = 4
    fake_updates: int = 5
    teacher_guidance: float = 8.0
    score_timesteps: tuple[int, int] = (20, 980)
    normalised: bool = True
    adversarial_weight: float = 5e-3
    discriminator_weight: float = 1e-2

    student_rate: float = 1e-3
    fake_rate: float = 1e-3
    optimizer: Literal["adamw", "muon"] = "muon"
    vector_rate: float = 3e-4
    betas: tuple[float, float] = (0.0, 0.99)
    ema_decay: float = 0.98
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        """Raises ValueError for a choice that is not one."""
        if self.steps < 1 or self.fake_updates < 1:
            raise ValueError(f"steps and fake_updates must be 1 or more, got {self.steps} and {self.fake_updates}")
        if not 0 <= self.score_timesteps[0] < self.score_timesteps[1]:
            raise ValueError(f"score_timesteps must be (low, high) with 0 <= low < high, got {self.score_timesteps}")
        if min(self.adversarial_weight, self.discriminator_weight) < 0:
            raise ValueError("adversarial_weight and discriminator_weight must be 0 or more")

    def training(self, *, steps: int, batch_size: int, seed: int, **changes: Any) -> TrainConfig:
        """The loop's configuration with this recipe's optimiser, rates and average; `changes` are other fields.

        `steps` are those of the fake score network; the student learns in every `fake_updates`-th.
        """
        defaults: dict[str, Any] = {"warmup_steps": 50, "decay_fraction": 0.5, "weight_decay": 0.0}
        return TrainConfig(
            steps=steps,
            batch_size=batch_size,
            seed=seed,
            optimizer=self.optimizer,
            learning_rate=self.student_rate,
            learning_rates={"fake": self.fake_rate},
            vector_rate=self.vector_rate,
            betas=self.betas,
            ema_decay=self.ema_decay,
            max_grad_norm=self.max_grad_norm,
            **{**defaults, **changes},
        )
