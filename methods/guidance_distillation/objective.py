"""One evaluation of the student for two of the guided teacher.

Meng et al., "On Distillation of Guided Diffusion Models", arXiv 2210.03142, section 3.1.

paper                       here
w in [w_min, w_max]         w, embedded in the UNet; guidance_scale = w + 1
x-hat^w_theta               the guided teacher, (1 + w) x0_cond - w x0_uncond
x-hat_eta1(z_t, w)          the student, which is told w
omega(lambda_t)             that of an error in what both networks predict: SNR + 1 for v, SNR for noise

The student answers at every timestep, so it is sampled by any solver at any step count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from methods.distill.denoiser import Denoiser
from methods.distill.draws import Draws
from methods.distill.objective import Batch, Objective


@dataclass(frozen=True)
class GdRecipe:
    """The range of guidance weights (guidance_scale - 1), both ends included, w uniform between them.

    Raises:
        ValueError: for a range that is empty or reaches below no guidance.
    """

    w_min: float = 0.0
    w_max: float = 4.0

    def __post_init__(self) -> None:
        if not 0 <= self.w_min <= self.w_max:
            raise ValueError(f"expected 0 <= w_min <= w_max, got {self.w_min} and {self.w_max}")


class GdObjective(Objective):
    """Batches hold "latents" (N, C, H, W), scaled, and "condition", a `Condition`.

    Args:
        student: Trained; the teacher's UNet with an input for w.
        teacher: Frozen; it predicts the same quantity.
        recipe: The range of w.

    Raises:
        ValueError: for a student that cannot be told w, or that predicts another quantity than its teacher.
    """

    def __init__(self, student: Denoiser, teacher: Denoiser, recipe: GdRecipe) -> None:
        if student.unet.config.time_cond_proj_dim is None:
            raise ValueError("a UNet without time_cond_proj_dim cannot be told w; use with_guidance_input")
        if student.prediction_type != teacher.prediction_type:
            raise ValueError(
                f"the student predicts {student.prediction_type!r}, its teacher {teacher.prediction_type!r};"
                " the loss compares what they predict"
            )
        self.student, self.teacher, self.recipe = student, teacher, recipe

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        return {"student": self.student.unet}

    def losses(self, network: str, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        x0, condition = batch["latents"], batch["condition"]
        n, schedule = len(x0), self.teacher.schedule
        t = (draws.stratified(n) * len(schedule)).long()
        w = self.recipe.w_min + (self.recipe.w_max - self.recipe.w_min) * draws.uniform(n)
        x_t = schedule.add_noise(x0, draws.normal(*x0.shape).to(x0), t)
        with torch.no_grad():
            wanted = self.teacher.guided_output(x_t, t, condition, (w + 1).view(-1, 1, 1, 1))
        return {"guidance": (self.student.output(x_t, t, condition, w) - wanted).square().mean()}
