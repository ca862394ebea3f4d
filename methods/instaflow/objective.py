"""Text-conditioned reflow, and the distillation of its flow into one step.

Liu et al., "InstaFlow", arXiv 2309.06380, sections 2.2 and 2.3.

    paper                       here
    X_0, X_1 = ODE[v_SD](X_0)   "noise" and "latents" of a batch: a pair of the guided teacher
    v_2, the 2-rectified flow   the student of ReflowObjective
    ODE[v_2](X_0 | T)           flow_images: "latents" of the second set of pairs
    D, the similarity loss      distance: squared, or pseudo-Huber; the paper goes on with LPIPS after its squared one

A reflow keeps the distribution at the end and straightens the paths to it, so that one step of the flow comes near to
many, and the distillation has little left to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from methods.diffusion.ddim import ddim_step
from methods.diffusion.flow import flow_sigma, flow_velocity, flow_x0, interpolate
from methods.diffusion.schedule import CLEAN
from methods.diffusion.timesteps import trailing_timesteps
from methods.distill.denoiser import Condition, Denoiser
from methods.distill.draws import Draws
from methods.distill.objective import Batch, Objective

Distance = Literal["l2", "huber"]


@dataclass(frozen=True)
class InstaFlowRecipe:
    """What the pairs are, and what the one step is compared by.

    Attributes:
        pairs: How many of each set, computed once.
        teacher_steps, guidance_scale: of the teacher's DDIM that makes the first set; the paper takes 25 and 5.0.
        flow_steps: Euler steps of the reflowed student that make the second set; the paper takes 25.
        distance, huber_c: of the distilled step from the flow's image.
    """

    pairs: int = 100_000
    teacher_steps: int = 25
    guidance_scale: float = 5.0
    flow_steps: int = 25
    distance: Distance = "l2"
    huber_c: float = 0.03

    def __post_init__(self) -> None:
        """Raises ValueError for a choice that is not one."""
        if min(self.pairs, self.teacher_steps, self.flow_steps) < 1:
            raise ValueError("pairs, teacher_steps and flow_steps must be 1 or more")
        if self.distance not in get_args(Distance):
            raise ValueError(f"distance must be one of {', '.join(get_args(Distance))}, got {self.distance!r}")


@dataclass(frozen=True)
class Flow:
    """A UNet that predicts the velocity of a flow of `num_train_timesteps` integer timesteps."""

    unet: UNet2DConditionModel
    num_train_timesteps: int

    @property
    def last(self) -> int:
        """The noisiest timestep, at which sampling starts."""
        return self.num_train_timesteps - 1

    def velocity(self, x_t: Tensor, timesteps: Tensor, condition: Condition) -> Tensor:
        """Predicted `eps - x0`, like `x_t` (N, C, H, W)."""
        result: Tensor = self.unet(
            x_t,
            timesteps,
            encoder_hidden_states=condition.embeds,
            added_cond_kwargs={"text_embeds": condition.pooled, "time_ids": condition.time_ids},
        ).sample
        return result

    def one_step(self, noise: Tensor, condition: Condition) -> Tensor:
        """x0 (N, C, H, W) by one step from pure noise, as the stock sampler takes it."""
        t = torch.full((len(noise),), self.last, device=noise.device)
        sigma = flow_sigma(t, self.num_train_timesteps, noise)
        return flow_x0(noise, self.velocity(noise, t, condition), sigma)


class ReflowObjective(Objective):
    """Batches hold "noise" and "latents" (N, C, H, W), scaled, of the teacher's pairs, and "condition"."""

    def __init__(self, student: Flow) -> None:
        self.student, self.unet = student, student.unet

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        return {"student": self.unet}

    def losses(self, network: str, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        x0, eps = batch["latents"], batch["noise"]
        t = (draws.stratified(len(x0)) * self.student.num_train_timesteps).long().to(x0.device)
        x_t = interpolate(x0, eps, flow_sigma(t, self.student.num_train_timesteps, x0))
        error = self.student.velocity(x_t, t, batch["condition"]) - flow_velocity(x0, eps)
        return {"flow": error.square().mean()}


class FlowDistillationObjective(Objective):
    """Batches hold "noise" and "latents" (N, C, H, W), scaled, of the reflowed student's pairs, and "condition"."""

    def __init__(self, student: Flow, recipe: InstaFlowRecipe) -> None:
        self.student, self.unet, self.recipe = student, student.unet, recipe

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        return {"student": self.unet}

    def losses(self, network: str, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        error = self.student.one_step(batch["noise"], batch["condition"]) - batch["latents"]
        if self.recipe.distance == "l2":
            return {"distill": error.square().mean()}
        c = self.recipe.huber_c
        return {"distill": ((error.square() + c**2).sqrt() - c).mean()}


@torch.no_grad()
def teacher_images(
    teacher: Denoiser, noise: Tensor, condition: Condition, num_inference_steps: int, guidance_scale: float
) -> Tensor:
    """Where the guided teacher's DDIM takes `noise` (N, C, H, W): scaled latents, two evaluations a step."""
    grid = (*trailing_timesteps(num_inference_steps, len(teacher.schedule)), CLEAN)
    x = noise
    for t, to in pairwise(grid):
        x0, eps = teacher.guided(x, torch.full((len(x),), t, device=x.device), condition, guidance_scale)
        x = ddim_step(teacher.schedule, x0, eps, to)
    return x


@torch.no_grad()
def flow_images(flow: Flow, noise: Tensor, condition: Condition, num_inference_steps: int) -> Tensor:
    """Where Euler steps of `flow` take `noise` (N, C, H, W): scaled latents, one evaluation a step.

    Sigmas are those of the stock sampler, T - 1 of T downward in equal steps, and timesteps theirs rounded down.
    """
    x, steps = noise, num_inference_steps
    step = flow.last / steps / flow.num_train_timesteps
    for t in (flow.last * k // steps for k in range(steps, 0, -1)):
        x = x - step * flow.velocity(x, torch.full((len(x),), t, device=x.device), condition)
    return x
