"""What suites hand to metrics: prompts and judges. Neither side imports the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from torch import Tensor

SEED_STRIDE = 1_000_003
"""Seeds of two runs never meet below this many prompts (a prime above a million)."""


_SAMPLE_STRIDE = 100_000_007
"""Torch's generator on the CPU reads the low 32 bits of a seed alone. With this stride (a prime) the images of a prompt
differ there, and seeds of runs 0 to 99 never meet those of another sample."""


def image_seed(seed: int, index: int, sample: int = 0) -> int:
    """The seed of sample `sample` of prompt `index`: it belongs to the prompt, so that all methods start alike.

    Sample 0 has the seed that the prompt has where one image is made of it.
    """
    return seed * SEED_STRIDE + index + sample * _SAMPLE_STRIDE


@dataclass(frozen=True)
class Prompt:
    """One line of a suite's prompt list. `id` is a file name stem, unique in it; `category` groups a breakdown.

    `sample` counts the images of one prompt from 0, where there are several.
    """

    id: str
    text: str
    category: str
    sample: int = 0

    @property
    def stem(self) -> str:
        """The stem of the image's file name: the id, with the sample behind it from the second on."""
        return self.id if self.sample == 0 else f"{self.id}.{self.sample}"


def images_of(prompts: Sequence[Prompt], images_per_prompt: int) -> list[Prompt]:
    """One entry an image, the images of a prompt side by side."""
    return [replace(prompt, sample=sample) for prompt in prompts for sample in range(images_per_prompt)]


class FeatureExtractor(Protocol):
    """uint8 images (N, 3, H, W) -> float32 features (N, D), a row an image."""

    name: str
    weights_hash: str
    resize: str  # what happens to an image before the network, "none" where nothing does

    def __call__(self, images: Tensor) -> Tensor: ...


class PromptScorer(Protocol):
    """uint8 images (N, 3, H, W) and their N prompts -> float32 scores (N,), higher is better."""

    name: str
    weights_hash: str

    def __call__(self, images: Tensor, prompts: Sequence[Prompt]) -> Tensor: ...


@dataclass(frozen=True)
class ClipJudge:
    """A transformers `CLIPModel` with the processor that torchmetrics' CLIPScore calls, and the hash of its weights.

    `processor(text=[...], images=[...], return_tensors="pt", padding=True)` gives what the model takes, truncated
    before the end token, never after it.
    """

    name: str
    weights_hash: str
    model: Any
    processor: Any


@dataclass(frozen=True)
class Judges:
    """All that a suite measures images with; a member that a suite lacks is None.

    `recogniser` gives the features of the Frechet and kernel distances, `attributes` 1.0 where every named attribute is
    there and 0.0 where not, `preference` a score that is compared with the baseline's for the same prompt and seed.
    """

    recogniser: FeatureExtractor | None = None
    clip: ClipJudge | None = None
    attributes: PromptScorer | None = None
    preference: PromptScorer | None = None
