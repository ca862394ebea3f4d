"""The recipe of UFOGen. Xu et al., arXiv 2311.09257."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from methods.distill.loop import TrainConfig


@dataclass(frozen=True)
class UfoGenRecipe:
    """Above the line what the paper gives, below it what we chose.

    Given by the paper:
        intervals: the denoising steps that the schedule is divided into, 4 in training; t - 1 is one of them below t.
        reconstruction_weight: lambda_KL, of the squared error of the noise that x0 stands for; its value is not given.

    Ours:
        terminal_share: of the images that are at the last timestep, where sampling starts; the others are uniform over
            all timesteps. 0 is the paper's, which meets it once in a thousand images: its trainings were long.
        discriminator_lead: first steps, in which the discriminator learns alone: its heads start at random, and what
            they say of a generator that is already good leads it away.
        generator_rate, discriminator_rate, optimizer, vector_rate: Muon for matrices and filters, AdamW at
            `vector_rate` for the rest, as this suite trains its other students.
        betas, max_grad_norm: of AdamW, and of each player's gradient.
        ema_decay: the averaged generator is what ships.
    """

    intervals: int = 4
    reconstruction_weight: float = 1.0

    terminal_share: float = 0.0
    discriminator_lead: int = 0
    generator_rate: float = 1e-3
    discriminator_rate: float = 1e-3
    optimizer: Literal["adamw", "muon"] = "muon"
    vector_rate: float = 3e-4
    betas: tuple[float, float] = (0.0, 0.99)
    ema_decay: float = 0.99
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        """Raises ValueError for a choice that is not one."""
        if self.intervals < 1:
            raise ValueError(f"intervals must be 1 or more, got {self.intervals}")
        if self.reconstruction_weight < 0:
            raise ValueError(f"reconstruction_weight must be 0 or more, got {self.reconstruction_weight}")
        if self.discriminator_lead < 0:
            raise ValueError(f"discriminator_lead must be 0 or more, got {self.discriminator_lead}")
        if not 0 <= self.terminal_share <= 1:
            raise ValueError(f"terminal_share must be in 0..1, got {self.terminal_share}")

    def training(self, *, steps: int, batch_size: int, seed: int, **changes: Any) -> TrainConfig:
        """The loop's configuration with this recipe's optimiser, rates and average; `changes` are other fields."""
        defaults: dict[str, Any] = {"warmup_steps": 50, "decay_fraction": 0.5, "weight_decay": 0.0}
        return TrainConfig(
            steps=steps,
            batch_size=batch_size,
            seed=seed,
            optimizer=self.optimizer,
            learning_rate=self.generator_rate,
            learning_rates={"discriminator": self.discriminator_rate},
            vector_rate=self.vector_rate,
            betas=self.betas,
            ema_decay=self.ema_decay,
            max_grad_norm=self.max_grad_norm,
            **{**defaults, **changes},
        )
