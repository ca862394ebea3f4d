"""The one interface between the harness and a method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

if TYPE_CHECKING:  # recipes are data, read where torch must not be imported
    import torch
    from torch import Tensor, nn

Guidance = Literal["none", "classifier-free", "embedded"]


@dataclass(frozen=True)
class MethodInfo:
    """What a method is called and where it comes from. `steps` are the step counts it is meant for, best first.

    `checkpoint_per_step_count` says that each count of `steps` has weights of its own.
    """

    name: str
    title: str
    paper: str
    arxiv: str | None
    licence: str
    steps: tuple[int, ...]
    checkpoint_per_step_count: bool = False

    def checkpoint(self, num_inference_steps: int) -> str:
        """The name of the weights that serve a step count: the method's, or "<name>-<steps>" where each has its own.

        A count without weights of its own is given those of `steps[0]`, whose recipe then says why it does not fit.
        """
        if not self.checkpoint_per_step_count:
            return self.name
        return f"{self.name}-{num_inference_steps if num_inference_steps in self.steps else self.steps[0]}"


@dataclass(frozen=True)
class Recipe:
    """How a checkpoint wants to be sampled: data that lies beside the weights as `recipe.json`.

    `scheduler` is a class name of diffusers, or of `methods.schedulers`, and `scheduler_config` overrides the
    checkpoint's own scheduler config. `timesteps` maps a step count to explicit timesteps, noisiest first; a count that
    is not in it is spaced by the scheduler. `allowed_steps` is (fewest, most). `guidance_scale` is in diffusers' sense,
    1.0 being none; `guidance_range` is the least and the most that the checkpoint is meant for, None where any will do.

    `vae_dtype` is the dtype to decode in where it is not the pipeline's. `lora_scale` is the factor of a LoRA, None
    without one. `dtypes` are those that the networks were released for besides float32; empty where any will do.
    `arguments` are further arguments of the pipeline's call, `step_arguments` those of one step count alone.
    """

    scheduler: str
    scheduler_config: Mapping[str, object] = field(default_factory=dict)
    guidance: Guidance = "none"
    guidance_scale: float = 1.0
    timesteps: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    allowed_steps: tuple[int, int] = (1, 1000)
    height: int | None = None
    width: int | None = None
    guidance_range: tuple[float, float] | None = None
    negative_prompt: str = ""
    vae_dtype: Literal["float32"] | None = None
    lora_scale: float | None = None
    dtypes: tuple[str, ...] = ()
    arguments: Mapping[str, object] = field(default_factory=dict)
    step_arguments: Mapping[int, Mapping[str, object]] = field(default_factory=dict)


@dataclass(frozen=True)
class SampleRequest:
    """Everything that may change a pixel. `prompts` and `seeds` have one entry an image.

    `guidance_scale` None means the recipe's own; `height` and `width` None mean the checkpoint's.
    """

    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    num_inference_steps: int
    guidance_scale: float | None = None
    height: int | None = None
    width: int | None = None


class Method(ABC):
    """A loaded few-step method. It samples; it measures nothing."""

    info: ClassVar[MethodInfo]
    recipe: Recipe

    @classmethod
    @abstractmethod
    def load(cls, weights: Path, *, device: torch.device, dtype: torch.dtype) -> Self:
        """Load the pipeline folder `weights`, with `recipe.json` beside its parts if there is one.

        Raises:
            WeightsError: where the folder is missing, damaged or unsafe.
        """

    @property
    @abstractmethod
    def components(self) -> Mapping[str, nn.Module]:
        """The modules that the harness hooks: "text_encoder", "text_encoder_2", "denoiser" and "decoder".

        For SDXL the decoder is `vae.decoder`, as `vae.decode` fires no hook on the VAE.
        """

    @abstractmethod
    def unsupported(self, request: SampleRequest) -> str | None:
        """Why this method cannot serve `request`, or None."""

    @abstractmethod
    def sample(self, request: SampleRequest) -> Tensor:
        """uint8 (N, 3, H, W) on the CPU. Image i depends on prompt i and seed i alone."""
