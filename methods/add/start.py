"""Before the game: a student that predicts what its guided teacher predicts, and reads pure noise as one of its inputs.

The paper's teachers end at alpha_T = 0.068: at T they still read the noise that they are given as a trace of an image,
so a student that starts from their weights maps different noise to different images. A teacher of zero terminal SNR
has learned to ignore its input at T, and a student that starts as a constant there splits into few modes: the
adversarial gradient moves all images of a caption alike. `AddRecipe.start_timestep` gives such a student what the
paper's students have: for a few steps it learns to answer at T, on pure noise, as the teacher does at the timestep
whose alpha is that of the paper's teachers at T. At its other timesteps it learns the teacher's guided prediction.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.add.inputs import student_input, student_timesteps
from methods.add.recipe import AddRecipe
from methods.distill.denoiser import Denoiser
from methods.distill.draws import Draws
from methods.distill.objective import Batch, Objective


class StartObjective(Objective):
    """Batches hold scaled "latents" (N, C, H, W) and "condition".

    Args:
        student: Trained; starts from the teacher's weights.
        teacher: Frozen.
        recipe: Whose `start_timestep` is given.

    Raises:
        ValueError: where the recipe has no `start_timestep`.
    """

    def __init__(self, student: Denoiser, teacher: Denoiser, recipe: AddRecipe) -> None:
        if recipe.start_timestep is None:
            raise ValueError("the recipe has no start_timestep; its game starts from the teacher's weights")
        self.student, self.teacher, self.recipe = student, teacher, recipe
        self.start_timestep = recipe.start_timestep

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        return {"student": self.student.unet}

    def losses(self, network: str, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        x0, condition = batch["latents"], batch["condition"]
        s = student_timesteps(self.recipe, len(x0), draws).to(x0.device)
        x_s = student_input(self.student.schedule, self.recipe, x0, draws.normal(*x0.shape).to(x0), s)
        last = s == len(self.student.schedule) - 1
        read_as = torch.where(last, torch.full_like(s, self.start_timestep), s)
        wanted, _ = self.teacher.guided(x_s, read_as, condition, self.recipe.teacher_guidance)
        return {"start": F.mse_loss(self.student.x0(x_s, s, condition), wanted)}
