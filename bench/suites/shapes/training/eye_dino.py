"""An eye that learns without labels, in the manner of DINO. Caron et al., arXiv 2104.14294.

    paper                   here
    g_theta_s, g_theta_t    student, teacher: an eye and a projection head each
    lambda                  teacher_momentum, of the teacher's moving average
    C, m                    centre, centre_momentum
    tau_s, tau_t            student_temperature, teacher_temperature
    V                       views: two global crops, seen by both, and local crops, seen by the student alone

Local crops have half the side; the position embeddings are interpolated for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm
from transformers import ViTModel

from bench.suites.shapes import vocabulary as words
from bench.suites.shapes.training.vae import to_unit_range
from methods.adversarial.augment import augment
from methods.distill.draws import Draws
from methods.distill.ema import frozen_copy, update_ema
from methods.distill.objective import Batch, Objective


@dataclass(frozen=True)
class DinoRecipe:
    """The paper's choices, with fewer prototypes and a faster teacher for a training of hundreds of steps."""

    prototypes: int = 256
    hidden: int = 192
    bottleneck: int = 48
    teacher_momentum: float = 0.99
    centre_momentum: float = 0.9
    student_temperature: float = 0.1
    teacher_temperature: float = 0.04
    local_crops: int = 2
    global_area: tuple[float, float] = (0.4, 1.0)
    local_area: tuple[float, float] = (0.1, 0.4)


class DinoNetwork(nn.Module):
    """Images (N, 3, H, W) in -1..1 -> logits over prototypes (N, K), from the class token."""

    def __init__(self, eye: ViTModel, recipe: DinoRecipe) -> None:
        super().__init__()
        self.eye = eye
        self.head = nn.Sequential(
            nn.Linear(int(eye.config.hidden_size), recipe.hidden),
            nn.GELU(),
            nn.Linear(recipe.hidden, recipe.bottleneck),
        )
        self.prototypes = weight_norm(nn.Linear(recipe.bottleneck, recipe.prototypes, bias=False))
        gains: nn.Parameter = self.prototypes.parametrizations.weight.original0
        nn.init.ones_(gains)
        gains.requires_grad_(False)

    def forward(self, pixels: Tensor) -> Tensor:
        resized = pixels.shape[-1] != words.IMAGE_SIZE
        token = self.eye(pixels, interpolate_pos_encoding=resized).last_hidden_state[:, 0]
        logits: Tensor = self.prototypes(F.normalize(self.head(token), dim=1))
        return logits


class DinoObjective(Objective):
    """Batches hold "images" uint8. The trained network is called "eye", like that of the other eyes."""

    def __init__(self, eye: ViTModel, recipe: DinoRecipe | None = None) -> None:
        self.recipe = recipe or DinoRecipe()
        self.student = DinoNetwork(eye, self.recipe)
        self.teacher = frozen_copy(self.student)
        self.teacher.register_buffer("centre", torch.zeros(self.recipe.prototypes))
        self._outputs: Tensor | None = None

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        return {"eye": self.student}

    @property
    def followers(self) -> Mapping[str, nn.Module]:
        return {"teacher": self.teacher}

    @property
    def centre(self) -> Tensor:
        """float32 (K,): the running mean of the teacher's outputs."""
        return self.teacher.get_buffer("centre")

    def losses(self, network: str, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        pixels, recipe = to_unit_range(batch["images"]), self.recipe
        side = words.IMAGE_SIZE
        wide = [view(pixels, draws, recipe.global_area, side) for _ in range(2)]
        narrow = [view(pixels, draws, recipe.local_area, side // 2) for _ in range(recipe.local_crops)]
        with torch.no_grad():
            outputs = self.teacher(torch.cat(wide))
        self._outputs = outputs
        targets = F.softmax((outputs - self.centre) / recipe.teacher_temperature, dim=1).chunk(2)
        predicted = [*self.student(torch.cat(wide)).chunk(2)]
        if narrow:
            predicted += self.student(torch.cat(narrow)).chunk(len(narrow))
        return {"agreement": agreement_loss(targets, predicted, recipe.student_temperature)}

    def after_step(self, step: int) -> None:
        """The teacher follows the student; the centre follows the teacher's outputs."""
        if self._outputs is None:
            raise RuntimeError("after_step comes after the losses of a step")
        centre = self.centre.lerp(self._outputs.mean(dim=0), 1 - self.recipe.centre_momentum)
        update_ema_parameters(self.teacher, self.student, self.recipe.teacher_momentum)
        self.centre.copy_(centre)
        self._outputs = None


def agreement_loss(targets: tuple[Tensor, ...], predicted: list[Tensor], temperature: float) -> Tensor:
    """The mean cross entropy between each target (N, K) and the prediction for every other view (N, K).

    Target i belongs to view i, which is not compared with itself.
    """
    terms = [
        -(target * F.log_softmax(logits / temperature, dim=1)).sum(dim=1).mean()
        for i, target in enumerate(targets)
        for j, logits in enumerate(predicted)
        if i != j
    ]
    return torch.stack(terms).mean()


def view(pixels: Tensor, draws: Draws, area: tuple[float, float], side: int) -> Tensor:
    """A random square crop of each image of `area` (least, most) of it, resized to `side`, mirrored half the time,
    with its colours changed."""
    n = len(pixels)
    low, high = area
    scale = (low + (high - low) * draws.uniform(n)).sqrt()
    centre = (2 * draws.uniform(n, 2) - 1) * (1 - scale)[:, None]
    mirror = torch.where(draws.uniform(n) < 0.5, -1.0, 1.0)
    transform = torch.zeros(n, 2, 3)
    transform[:, 0, 0], transform[:, 1, 1], transform[:, :, 2] = scale * mirror, scale, centre
    grid = F.affine_grid(transform, [n, 3, side, side], align_corners=False)
    cropped = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return augment(cropped, draws, ("colour",))


@torch.no_grad()
def update_ema_parameters(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """`update_ema` for a teacher that has a buffer which its student has not."""
    for part in ("eye", "head", "prototypes"):
        update_ema(teacher.get_submodule(part), student.get_submodule(part), momentum)
