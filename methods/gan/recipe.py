"""The recipe of the GAN. Sauer et al., arXiv 2301.09515, and, for its discriminator, arXiv 2311.17042."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from methods.adversarial.augment import Augmentation
from methods.adversarial.conditions import POOLED
from methods.adversarial.discriminator import HeadNorm
from methods.distill.loop import TrainConfig


@dataclass(frozen=True)
class GanRecipe:
    """Above the line what the papers give, below it what we chose.

    Given by the papers:
        features: the frozen network under the heads, by name; ADD's is "dinov2-small".
        r1_gamma: on each head's input features, 1e-5 in ADD.
        augmentation: of real and fake images before the features.
        condition_text: the projection on the caption's embedding. ADD's other condition, the embedding of the
            very image that its student is given under noise, has no place here: a GAN is given no image.
        caption_encoder: what embeds the caption for it, as in our ADD; CLIP ViT-L/14 in StyleGAN-T.
        clip_weight: of CLIP guidance (`methods.gan.guidance`) by the image half of that encoder, 0.2 in StyleGAN-T; 0
            leaves it out.
        betas: no first moment, in StyleGAN-T.

    Ours:
        head_norm: of the heads' blocks, "batch" as StyleGAN-T has it or "none" (`methods.adversarial.discriminator`).
        optimizer, generator_rate, vector_rate: Muon for matrices and filters, AdamW at `vector_rate` for the rest;
            StyleGAN-T has Adam at 2e-3.
        discriminator_optimizer, discriminator_rate, momentum: as in our ADD, for its reasons (`methods.add.recipe`).
        ema_decay: the averaged generator is what ships; 0.9978 in StyleGAN-T, over far more steps.
        max_grad_norm: of each player's gradient.
    """

    features: str = "dinov2-small"
    r1_gamma: float = 1e-5
    augmentation: tuple[Augmentation, ...] = get_args(Augmentation)
    condition_text: bool = True
    caption_encoder: str = POOLED
    clip_weight: float = 0.2
    betas: tuple[float, float] = (0.0, 0.99)

    head_norm: HeadNorm = "batch"
    optimizer: Literal["adamw", "muon"] = "muon"
    generator_rate: float = 2e-3
    vector_rate: float = 2e-3
    discriminator_optimizer: Literal["adamw", "muon"] = "muon"
    discriminator_rate: float = 1e-2
    momentum: float = 0.5
    ema_decay: float = 0.99
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        """Raises ValueError for a choice that is not one."""
        for name in self.augmentation:
            if name not in get_args(Augmentation):
                raise ValueError(f"augmentation must be among {', '.join(get_args(Augmentation))}, got {name!r}")
        if self.r1_gamma < 0:
            raise ValueError(f"r1_gamma must be 0 or more, got {self.r1_gamma}")
        if self.clip_weight < 0:
            raise ValueError(f"clip_weight must be 0 or more, got {self.clip_weight}")

    def training(self, *, steps: int, batch_size: int, seed: int, **changes: Any) -> TrainConfig:
        """The loop's configuration with this recipe's optimiser, rates and average; `changes` are other fields."""
        defaults: dict[str, Any] = {"warmup_steps": 50, "decay_fraction": 0.5, "weight_decay": 0.0}
        return TrainConfig(
            steps=steps,
            batch_size=batch_size,
            seed=seed,
            optimizer=self.optimizer,
            optimizers={"discriminator": self.discriminator_optimizer},
            learning_rate=self.generator_rate,
            learning_rates={"discriminator": self.discriminator_rate},
            vector_rate=self.vector_rate,
            momentum=self.momentum,
            betas=self.betas,
            ema_decay=self.ema_decay,
            max_grad_norm=self.max_grad_norm,
            **{**defaults, **changes},
        )
