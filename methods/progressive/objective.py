"""One round of progressive distillation: the student learns to do in one DDIM step what its teacher does in two.

Salimans and Ho, "Progressive Distillation for Fast Sampling of Diffusion Models", arXiv 2202.00512, section 3,
algorithm 2; from a guided teacher: Meng et al., "On Distillation of Guided Diffusion Models", arXiv 2210.03142.

paper                  here
N                      student_steps; the teacher takes 2 N
t, t', t''             start, middle, end: neighbours on the teacher's grid
x-tilde                the target, an x0
w(lambda_t)            loss_weight
eta, the teacher       the guided teacher in the first round, the last round's student afterwards

Meng et al. first distil guidance alone into a student that is given w, and halve the steps afterwards. Here guidance
has one fixed scale, so that no student takes it as an input, and the first round does both: its teacher is guided.

The grid is the trailing one in integers, T-1 first, and it ends at `CLEAN`, where alpha is 1: what diffusers' DDIM
calls `set_alpha_to_one`. The grid of N steps is every second point of that of 2 N. At 8, 4, 2 and 1 steps of 1000 it is
the one that stock DDIM visits. At 32 and 16 stock DDIM evaluates the same timesteps but steps by `T // steps`, which
misses its own grid by one; the student of 16 steps is an intermediate product, and only its sample grids feel it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from methods.diffusion.ddim import ddim_step
from methods.diffusion.guidance import NO_GUIDANCE
from methods.diffusion.halving import Weighting, first_share, loss_weight
from methods.diffusion.schedule import CLEAN
from methods.diffusion.timesteps import trailing_timesteps
from methods.distill.denoiser import Condition, Denoiser
from methods.distill.draws import Draws
from methods.distill.objective import Batch, Objective


@dataclass(frozen=True)
class PdRecipe:
    """What all rounds share.

    `first_steps` are the guided teacher's in the first round, a power of two, and `guidance_scale` is its guidance.
    `weighting` is that of the squared error in x0: "snr+1" (the squared error in v) or "truncated-snr".
    """

    first_steps: int = 32
    guidance_scale: float = 5.0
    weighting: Weighting = "snr+1"


@dataclass(frozen=True)
class Round:
    """`student_steps` from twice as many teacher steps under `guidance_scale` (1.0 is none)."""

    student_steps: int
    guidance_scale: float = NO_GUIDANCE

    @property
    def teacher_steps(self) -> int:
        return 2 * self.student_steps

    @property
    def name(self) -> str:
        """Such as "32to16"."""
        return f"{self.teacher_steps}to{self.student_steps}"

    @property
    def teacher_evaluations(self) -> int:
        """Teacher evaluations a training image: two steps, each twice where it is guided."""
        return 2 if self.guidance_scale == NO_GUIDANCE else 4


def rounds(recipe: PdRecipe) -> tuple[Round, ...]:
    """The rounds that halve `first_steps` down to 1; the first alone has guidance.

    Raises:
        ValueError: where `first_steps` is not a power of two of at least 2.
    """
    steps = recipe.first_steps
    if steps < 2 or steps & (steps - 1):
        raise ValueError(f"first_steps must be a power of two of at least 2, got {steps}")
    counts = [steps >> k for k in range(1, steps.bit_length())]
    return tuple(Round(n, NO_GUIDANCE if k else recipe.guidance_scale) for k, n in enumerate(counts))


class PdObjective(Objective):
    """Batches hold "latents" (N, C, H, W), scaled, and "condition", a `Condition`."""

    def __init__(self, student: Denoiser, teacher: Denoiser, this_round: Round, weighting: Weighting) -> None:
        self.student, self.teacher = student, teacher
        self.round, self.weighting = this_round, weighting
        grid = trailing_timesteps(this_round.teacher_steps, len(teacher.schedule))
        self.points = torch.tensor([*grid, CLEAN])

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        return {"student": self.student.unet}

    def losses(self, network: str, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        x0, condition = batch["latents"], batch["condition"]
        interval = (draws.stratified(len(x0)) * self.round.student_steps).long()
        start = self.points[2 * interval]
        x_t = self.teacher.schedule.add_noise(x0, draws.normal(*x0.shape), start)
        wanted = self.target(x_t, interval, condition)
        predicted = self.student.x0(x_t, start, condition)
        weight = loss_weight(self.weighting, *self.teacher.schedule.at(start, x_t))
        return {"distill": (weight * (predicted - wanted).square()).mean()}

    @torch.no_grad()
    def target(self, x_t: Tensor, interval: Tensor, condition: Condition) -> Tensor:
        """The x0 (N, C, H, W) from which one DDIM step of the student lands where two steps of the teacher land.

        Args:
            x_t: (N, C, H, W), noisy latents at the first timestep of their interval.
            interval: int64 (N,), 0..student_steps - 1: which step of the student, the noisiest being 0.
            condition: Of N images.
        """
        start, middle, end = (self.points[2 * interval + k] for k in range(3))
        first_x0, first_eps = self._teach(x_t, start, condition)
        x_middle = ddim_step(self.teacher.schedule, first_x0, first_eps, middle)
        second_x0, _ = self._teach(x_middle, middle, condition)
        share = first_share(self.teacher.schedule, start, middle, end, x_t)
        return torch.lerp(second_x0, first_x0, share)

    def _teach(self, x_t: Tensor, timesteps: Tensor, condition: Condition) -> tuple[Tensor, Tensor]:
        """The teacher's (x0, eps)."""
        if self.round.guidance_scale == NO_GUIDANCE:
            return self.teacher.split(self.teacher.output(x_t, timesteps, condition), x_t, timesteps)
        return self.teacher.guided(x_t, timesteps, condition, self.round.guidance_scale)
