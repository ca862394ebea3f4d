"""How ADD's student begins under a teacher of zero terminal SNR: by meaning and in closed form, on Gaussian data."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from methods.add.recipe import AddRecipe
from methods.add.start import StartObjective
from tests.training.gaussian import MEAN, SCHEDULE, SHAPE, VARIANCE, GaussianUNet, TableUNet, condition, denoiser
from tests.training.tiny_add import draws

RECIPE = AddRecipe(student_timesteps=(999, 499), start_timestep=880, teacher_guidance=1.0)
N = 256


def answers(at: dict[int, int]) -> TableUNet:
    """x0 = gain x_t + offset at each timestep, that of the exact denoiser at the timestep it is read as."""
    gain, offset = torch.zeros(1000, *SHAPE), torch.zeros(1000, *SHAPE)
    for timestep, read_as in at.items():
        alpha, sigma = SCHEDULE.at(read_as, torch.ones((), dtype=torch.float64))
        slope = alpha * VARIANCE / (alpha**2 * VARIANCE + sigma**2)
        gain[timestep], offset[timestep] = slope.float(), (MEAN - slope * alpha * MEAN).float()
    return TableUNet(gain, offset)


def loss(student: TableUNet, recipe: AddRecipe = RECIPE) -> Tensor:
    objective = StartObjective(denoiser(student), denoiser(GaussianUNet()), recipe)
    batch = {"latents": torch.randn(N, *SHAPE, generator=torch.Generator().manual_seed(1)), "condition": condition(N)}
    return objective.losses("student", batch, draws())["start"].detach()


def test_its_minimiser_reads_noise_at_the_end_as_the_teacher_reads_its_input_earlier() -> None:
    """The tolerance is float32's, on squares of numbers of about 1."""
    assert float(loss(answers({999: 880, 499: 499}))) < 1e-10


def test_the_teacher_itself_is_not_it() -> None:
    """At T the teacher answers its mean whatever it is given; half of the draws are at T."""
    alpha, sigma = (float(x) for x in SCHEDULE.at(880, torch.ones((), dtype=torch.float64)))
    slope = alpha * VARIANCE / (alpha**2 * VARIANCE + sigma**2)
    expected = 0.5 * (slope**2 * (1 + (alpha * MEAN) ** 2)).mean()  # E (slope (eps - alpha mean))^2
    assert float(loss(answers({999: 999, 499: 499}))) == pytest.approx(
        float(expected), rel=0.15
    )  # 128 draws, 8 numbers


def test_elsewhere_it_learns_the_guided_prediction() -> None:
    right = answers({999: 880, 499: 499})
    guided = AddRecipe(student_timesteps=(999, 499), start_timestep=880, teacher_guidance=2.0)
    assert float(loss(right, guided)) > 0.1  # the null mean is another: guidance moves the target


def test_only_the_student_learns() -> None:
    student, teacher = answers({999: 999, 499: 499}), TableUNet(torch.zeros(1000, *SHAPE), torch.ones(1000, *SHAPE))
    objective = StartObjective(denoiser(student), denoiser(teacher), RECIPE)
    objective.losses("student", {"latents": torch.zeros(8, *SHAPE), "condition": condition(8)}, draws())[
        "start"
    ].backward()
    assert student.offset.grad is not None
    assert teacher.offset.grad is None


def test_a_recipe_without_it_has_none() -> None:
    with pytest.raises(ValueError, match="no start_timestep"):
        StartObjective(denoiser(answers({})), denoiser(GaussianUNet()), AddRecipe())
