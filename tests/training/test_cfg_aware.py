"""CFG-aware distillation on Gaussians: the guided student lands where two guided steps of the teacher land."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from methods.cfg_aware.objective import CfgAwareObjective, CfgAwareRecipe
from methods.diffusion.ddim import ddim_step
from methods.diffusion.timesteps import trailing_timesteps
from methods.distill.denoiser import Denoiser
from methods.distill.draws import Draws
from methods.distill.loop import step_generator
from methods.distill.objective import Batch
from tests.training.gaussian import (
    CLEAN,
    MEAN,
    NULL_MEAN,
    SCHEDULE,
    SHAPE,
    VARIANCE,
    GaussianUNet,
    Known,
    composed,
    condition,
    denoiser,
)

RECIPE = CfgAwareRecipe(guidance_scales=(1.5, 4.0), denoising_weight=0.0)
N = RECIPE.student_steps


class TwoTables(Known):
    """x0 = gain x_t + offset, a pair of numbers for each timestep, with and without the caption."""

    def __init__(self, gain: Tensor, offset: Tensor, null_offset: Tensor) -> None:
        super().__init__()
        self.gain, self.offset, self.null_offset = (nn.Parameter(table) for table in (gain, offset, null_offset))

    def x0(self, x_t: Tensor, timesteps: Tensor, pooled: Tensor) -> Tensor:
        asked = pooled.abs().sum(dim=1).gt(0).view(-1, 1, 1, 1)
        offset = torch.where(asked, self.offset[timesteps], self.null_offset[timesteps])
        return self.gain[timesteps] * x_t + offset


class TaughtUNet(GaussianUNet):
    """A teacher with a parameter that a gradient could reach."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(()))

    def x0(self, x_t: Tensor, timesteps: Tensor, pooled: Tensor) -> Tensor:
        return super().x0(x_t, timesteps, pooled) + self.shift


def trained(student: nn.Module, recipe: CfgAwareRecipe = RECIPE, teacher: nn.Module | None = None) -> CfgAwareObjective:
    return CfgAwareObjective(denoiser(student), denoiser(teacher or GaussianUNet()), recipe)


def exact(*, null: bool = True) -> TwoTables:
    """The student of zero loss: both its predictions answer two unguided steps of their own mean.

    Guidance is linear in the two, and so is the teacher's, so it holds at every scale. Without `null` the prediction
    without the caption stays the teacher's: right at scale 1, where it drops out, and nowhere else.
    """
    objective = trained(GaussianUNet())
    one = torch.ones(N, 1, 1, 1, dtype=torch.float64)
    rows = torch.tensor(trailing_timesteps(N))
    tables = [torch.zeros(1000, *SHAPE, dtype=torch.float64) for _ in range(3)]
    for scale, table in ((one, tables[1]), (0 * one, tables[2])):
        zeros = torch.zeros(N, *SHAPE, dtype=torch.float64)
        table[rows] = objective.target(zeros, torch.arange(N), condition(N), scale)
        tables[0][rows] = objective.target(zeros + 1, torch.arange(N), condition(N), scale) - table[rows]
    if not null:
        alpha, sigma = SCHEDULE.at(rows, torch.zeros(N, *SHAPE, dtype=torch.float64))
        teachers = NULL_MEAN - alpha * VARIANCE / (alpha**2 * VARIANCE + sigma**2) * alpha * NULL_MEAN
        tables[2][rows] = teachers
    return TwoTables(*tables)


def batch(n: int = 64) -> Batch:
    rng = torch.Generator().manual_seed(2)
    latents = MEAN + VARIANCE.sqrt() * torch.randn(n, *SHAPE, generator=rng, dtype=torch.float64)
    return {"latents": latents, "condition": condition(n)}


def loss(student: nn.Module, recipe: CfgAwareRecipe = RECIPE) -> float:
    losses = trained(student, recipe).losses("student", batch(), Draws(step_generator(0, 0)))
    return float(losses["distill"].detach())


def test_the_guided_student_lands_where_two_guided_steps_land() -> None:
    """At every grid point and at a scale of its own, by the two DDIM steps written out."""
    x_t = torch.randn(N, *SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    scales = torch.linspace(1, 4, N, dtype=torch.float64).view(-1, 1, 1, 1)
    grid = (*trailing_timesteps(2 * N), CLEAN)
    student = denoiser(exact())
    for i in range(N):
        row = x_t[i : i + 1]
        x0, eps = student.guided(row, torch.tensor([grid[2 * i]]), condition(1), scales[i : i + 1])
        landed = ddim_step(SCHEDULE, x0, eps, grid[2 * i + 2])
        mean = NULL_MEAN + scales[i] * (MEAN - NULL_MEAN)
        gain, offset = composed(grid[2 * i : 2 * i + 3], mean)
        assert torch.allclose(landed, gain * row + offset, atol=1e-9)
        one_gain, one_offset = composed((grid[2 * i], grid[2 * i + 2]), mean)
        assert not torch.allclose(landed, one_gain * row + one_offset, atol=1e-4)


def test_the_minimiser_has_no_loss_at_any_scale() -> None:
    assert loss(exact()) < 1e-18
    assert loss(GaussianUNet()) > 1e-4  # the teacher itself takes one step where two are asked for


def test_what_is_right_without_guidance_is_not_right_with_it() -> None:
    """The reason for the loss: distilled without guidance, the prediction without the caption is left behind."""
    student = exact(null=False)
    assert loss(student, replace(RECIPE, guided_share=0.0)) < 1e-18
    assert loss(student, replace(RECIPE, guided_share=1.0)) > 1e-5


def test_the_gradient_reaches_both_predictions_of_the_student_and_not_the_teacher() -> None:
    tables = [torch.zeros(1000, *SHAPE, dtype=torch.float64) for _ in range(3)]
    student, teacher = TwoTables(*tables), TaughtUNet()
    objective = trained(student, replace(RECIPE, guided_share=1.0), teacher)
    objective.losses("student", batch(), Draws(step_generator(0, 0)))["distill"].backward()
    visited = set(trailing_timesteps(N))
    for table in (student.offset, student.null_offset, student.gain):
        assert table.grad is not None
        assert set(table.grad.flatten(1).abs().sum(dim=1).nonzero().flatten().tolist()) == visited
    assert teacher.shift.grad is None
    plain = TwoTables(*(table.clone() for table in tables))
    objective = trained(plain, replace(RECIPE, guided_share=0.0))
    objective.losses("student", batch(), Draws(step_generator(0, 0)))["distill"].backward()
    assert plain.null_offset.grad is not None
    assert float(plain.null_offset.grad.abs().max()) == 0


def test_scales_are_one_or_in_the_range_in_the_named_share() -> None:
    n = 4000
    scales = trained(GaussianUNet(), replace(RECIPE, guided_share=0.3)).scales(n, Draws(step_generator(0, 0)))
    guided = scales[scales != 1]
    assert len(guided) == pytest.approx(0.3 * n, abs=5 * (0.21 * n) ** 0.5)  # five standard deviations
    assert 1.5 <= float(guided.min()) < 1.52
    assert 3.98 < float(guided.max()) <= 4.0


def test_the_denoising_term_is_nothing_for_the_exact_denoiser_of_one_point() -> None:
    """Data without spread are known from any noise; the weight multiplies, and 0 leaves the term out."""
    point = {"latents": MEAN.expand(64, *SHAPE).clone(), "condition": condition(64)}
    known = GaussianUNet(variance=torch.full_like(VARIANCE, 1e-12))

    def term(student: nn.Module, weight: float) -> float:
        objective = trained(student, replace(RECIPE, denoising_weight=weight))
        return float(objective.losses("student", point, Draws(step_generator(0, 0)))["denoising"].detach())

    assert term(known, 1.0) < 1e-12
    assert term(GaussianUNet(), 1.0) > 1e-2
    assert term(GaussianUNet(), 0.5) == pytest.approx(term(GaussianUNet(), 1.0) / 2, rel=1e-6)
    assert set(trained(known).losses("student", point, Draws(step_generator(0, 0)))) == {"distill"}


def test_choices_that_make_no_sense_are_refused() -> None:
    for wrong in (
        {"student_steps": 0},
        {"guidance_scales": (0.5, 2.0)},
        {"guided_share": 2.0},
        {"denoising_weight": -1},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            CfgAwareRecipe(**wrong)  # type: ignore[arg-type]
    assert isinstance(trained(GaussianUNet()).student, Denoiser)
