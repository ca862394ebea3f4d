"""Progressive distillation against closed forms: its target is two DDIM steps, its end the teacher's trajectory."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from bench.suites.shapes.training.students.lcm import LCM
from bench.suites.shapes.training.students.progressive import PD, PD_RECIPE, PD_STEPS
from methods.diffusion.ddim import ddim_step
from methods.diffusion.halving import loss_weight
from methods.diffusion.prediction import to_eps
from methods.diffusion.timesteps import trailing_timesteps
from methods.distill.denoiser import Denoiser
from methods.distill.draws import Draws
from methods.distill.loop import step_generator
from methods.progressive import ProgressiveDistillation
from methods.progressive.objective import PdObjective, PdRecipe, Round, rounds
from tests.training.gaussian import (
    CLEAN,
    CONFIG,
    MEAN,
    NULL_MEAN,
    SCHEDULE,
    SHAPE,
    VARIANCE,
    GaussianUNet,
    TableUNet,
    composed,
    condition,
    denoiser,
)

GUIDANCE = 3.0
ALL = rounds(PdRecipe(guidance_scale=GUIDANCE))
ROUNDING = 1e-10  # float64; the least alpha of a grid, 0.011, and the largest numbers, about 10, take six digits


def objective(this_round: Round, teacher: Denoiser | None = None) -> PdObjective:
    return PdObjective(denoiser(GaussianUNet()), teacher or denoiser(GaussianUNet()), this_round, "snr+1")


def noisy(n: int) -> Tensor:
    return torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def student_step(x_t: Tensor, x0: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """One DDIM step of a student whose x0 is given."""
    alpha, sigma = SCHEDULE.at(start, x_t)
    return ddim_step(SCHEDULE, x0, to_eps("sample", x0, x_t, alpha, sigma), end)


def teacher_step(x_t: Tensor, start: Tensor, end: Tensor, scale: float) -> Tensor:
    teacher = denoiser(GaussianUNet())
    return ddim_step(SCHEDULE, *teacher.guided(x_t, start, condition(len(x_t)), scale), end)


def errors(this_round: Round, steps: int = 2) -> Tensor:
    """How far the student's step lands from `steps` steps of the teacher, in each interval of the round's grid."""
    n = this_round.student_steps
    interval, x_t = torch.arange(n), noisy(n)
    grid = [*trailing_timesteps(2 * n), CLEAN]
    start, middle, end = (torch.tensor(grid[k : k + 2 * n : 2]) for k in range(3))
    landed = student_step(x_t, objective(this_round).target(x_t, interval, condition(n)), start, end)
    path = (start, middle, end) if steps == 2 else (start, end)
    wanted = x_t
    for here, there in pairwise(path):
        wanted = teacher_step(wanted, here, there, this_round.guidance_scale)
    return (landed - wanted).abs().flatten(1).amax(dim=1)


@pytest.mark.parametrize("this_round", ALL, ids=lambda r: r.name)
def test_the_target_lands_where_two_ddim_steps_land(this_round: Round) -> None:
    """At every grid point, pure noise first and the clean end last; in the first round the two steps are guided."""
    assert float(errors(this_round).max()) < ROUNDING
    assert float(errors(this_round, steps=1).min()) > 1e-4  # one step of the teacher instead lands elsewhere


@pytest.mark.parametrize("this_round", ALL[2:], ids=lambda r: r.name)
def test_two_steps_of_stock_ddim_land_there_too(this_round: Round) -> None:
    n, scheduler = this_round.student_steps, stock(this_round.teacher_steps)
    x_t = noisy(n).float()
    landed = student_step(
        x_t, objective(this_round).target(x_t, torch.arange(n), condition(n)),
        torch.tensor(trailing_timesteps(n)), torch.tensor([*trailing_timesteps(n)[1:], CLEAN]),
    )  # fmt: skip
    for i in range(n):
        x = x_t[i : i + 1]
        for t in scheduler.timesteps[2 * i : 2 * i + 2]:
            x = scheduler.step(GaussianUNet()(x, t[None], {"text_embeds": torch.ones(1, 1)}).sample, t, x).prev_sample
        # diffusers' alphas are float32 products of a thousand factors: 1e-4 of numbers of about 5
        assert torch.allclose(landed[i : i + 1], x, atol=2e-3)


def stock(steps: int) -> DDIMScheduler:
    recipe = ProgressiveDistillation.default_recipe
    scheduler = DDIMScheduler.from_config(CONFIG, **recipe.scheduler_config)
    scheduler.set_timesteps(steps)
    return scheduler


def test_at_noise_alone_the_target_is_the_landing_point_without_its_noise() -> None:
    """alpha is 0: x_end = alpha_end x0 + sigma_end x_t, whatever x_t is."""
    this_round = Round(4)
    x_t, start = noisy(1), torch.tensor([999])
    target = objective(this_round).target(x_t, torch.tensor([0]), condition(1))
    middle, end = torch.tensor([874]), torch.tensor([749])
    landed = teacher_step(teacher_step(x_t, start, middle, 1.0), middle, end, 1.0)
    alpha, sigma = SCHEDULE.at(end, x_t)
    assert torch.allclose(target, (landed - sigma * x_t) / alpha, atol=ROUNDING)


def test_at_the_last_step_the_target_is_the_second_x0() -> None:
    """sigma is 0 at the end: the student is to say what the teacher's second step says."""
    x_t = noisy(1)
    target = objective(Round(4)).target(x_t, torch.tensor([3]), condition(1))
    teacher = denoiser(GaussianUNet())
    middle = torch.tensor([124])
    second = teacher.x0(teacher_step(x_t, torch.tensor([249]), middle, 1.0), middle, condition(1))
    assert torch.allclose(target, second, atol=ROUNDING)
    first = objective(Round(4)).target(x_t, torch.tensor([2]), condition(1))
    assert not torch.allclose(first, teacher.x0(x_t, torch.tensor([374]), condition(1)), atol=1e-3)


def test_exact_rounds_end_in_the_guided_teachers_thirty_two_steps() -> None:
    """Every student answers its target exactly; the last one's single step is all 32 steps of the guided teacher.

    Both guided predictions have one gain, so the guided teacher is the exact one of a mean further out.
    """
    teacher = denoiser(GaussianUNet())
    for this_round in ALL:
        teacher = denoiser(exact_student(objective(this_round, teacher)))
    x = noisy(5)
    ours = teacher.x0(x, torch.full((5,), 999), condition(5))
    mean = NULL_MEAN + GUIDANCE * (MEAN - NULL_MEAN)
    gain, offset = composed((*trailing_timesteps(32), CLEAN), mean, VARIANCE)
    assert torch.allclose(ours, gain * x + offset, atol=1e-8)
    gain, offset = composed((*trailing_timesteps(16), CLEAN), mean, VARIANCE)
    assert not torch.allclose(ours, gain * x + offset, atol=1e-2)


def exact_student(trained: PdObjective) -> TableUNet:
    """The minimiser of a round: the target is affine in x_t, so two points of it tell all."""
    n = trained.round.student_steps
    gain, offset = (torch.zeros(1000, *SHAPE, dtype=torch.float64) for _ in range(2))
    at_zero, at_one = (
        trained.target(torch.full((n, *SHAPE), value, dtype=torch.float64), torch.arange(n), condition(n))
        for value in (0.0, 1.0)
    )
    rows = torch.tensor(trailing_timesteps(n))
    gain[rows], offset[rows] = at_one - at_zero, at_zero
    return TableUNet(gain, offset)


def test_the_minimiser_has_no_loss_and_another_student_has() -> None:
    this_round = Round(4)
    batch = {"latents": noisy(16), "condition": condition(16)}
    student = exact_student(objective(this_round))
    trained = PdObjective(denoiser(student), denoiser(GaussianUNet()), this_round, "snr+1")
    loss = trained.losses("student", batch, Draws(step_generator(0, 0)))["distill"].detach()
    assert float(loss) < 1e-20
    teacher_itself = objective(this_round).losses("student", batch, Draws(step_generator(0, 0)))["distill"]
    assert float(teacher_itself) > 1e-4


def test_the_gradient_reaches_the_student_and_not_the_teacher() -> None:
    tables = [torch.zeros(1000, *SHAPE, dtype=torch.float64) for _ in range(4)]
    student, teacher = TableUNet(*tables[:2]), TableUNet(tables[2] + 0.1, tables[3])
    trained = PdObjective(denoiser(student), denoiser(teacher), Round(2), "truncated-snr")
    batch = {"latents": noisy(8), "condition": condition(8)}
    trained.losses("student", batch, Draws(step_generator(0, 0)))["distill"].backward()
    assert student.gain.grad is not None
    assert set(student.gain.grad.flatten(1).abs().sum(dim=1).nonzero().flatten().tolist()) == {499, 999}
    assert teacher.gain.grad is None


def test_the_weightings_are_those_of_the_paper() -> None:
    x_t, x0, other = noisy(3), noisy(3) * 0.5 + 1, noisy(3).flip(0)
    t = torch.tensor([999, 499, 30])
    alpha, sigma = SCHEDULE.at(t, x_t)
    error = (x0 - other).square()
    v, v_other = ((alpha * x_t - x) / sigma for x in (x0, other))
    assert torch.allclose(loss_weight("snr+1", alpha, sigma) * error, (v - v_other).square())
    # at alpha 0 the error in eps is 0, and the larger of the two is that in x0
    eps, eps_other = (to_eps("sample", x, x_t, alpha, sigma) for x in (x0, other))
    assert torch.allclose(
        loss_weight("truncated-snr", alpha, sigma) * error, torch.maximum(error, (eps - eps_other).square())
    )
    snr = (alpha / sigma).square()
    assert float(snr[0]) == 0  # plain SNR, the error in eps, would learn nothing from pure noise
    for weighting in ("snr+1", "truncated-snr"):
        assert float(loss_weight(weighting, alpha, sigma)[0]) == pytest.approx(1)
    with pytest.raises(ValueError, match="'snr'"):
        loss_weight("snr", alpha, sigma)


def test_rounds_halve_and_the_first_alone_is_guided() -> None:
    assert [r.name for r in ALL] == ["32to16", "16to8", "8to4", "4to2", "2to1"]
    assert [r.guidance_scale for r in ALL] == [GUIDANCE, 1, 1, 1, 1]
    assert [r.teacher_evaluations for r in ALL] == [4, 2, 2, 2, 2]
    for steps in (0, 1, 12):
        with pytest.raises(ValueError, match="power of two"):
            rounds(PdRecipe(first_steps=steps))


@pytest.mark.parametrize("steps", [32, 16, 8, 4, 2, 1])
def test_the_grid_is_stock_ddims_where_it_divides_and_one_off_where_it_does_not(steps: int) -> None:
    """diffusers visits the same timesteps, but its step goes to `t - 1000 // steps`."""
    ours = trailing_timesteps(steps)
    scheduler = stock(steps)
    assert scheduler.timesteps.tolist() == list(ours)
    assert set(ours) <= set(trailing_timesteps(2 * steps))
    goes_to = [t - 1000 // steps for t in ours]
    off = [there - wanted for there, wanted in zip(goes_to, [*ours[1:], CLEAN], strict=True)]
    if 1000 % steps == 0:
        assert off == [0] * steps
    else:
        assert steps in (32, 16)
        assert set(off) == {0, 1}


def test_stock_ddim_at_sixteen_steps_does_step_off_its_grid() -> None:
    x, v = noisy(1).float(), noisy(1).float()
    scheduler = stock(16)
    landed = scheduler.step(v, 999, x).prev_sample

    def to(end: int) -> Tensor:
        alpha, sigma = SCHEDULE.at(end, x)
        return sigma * x - alpha * v  # x0 is -v and eps is x, where alpha is 0

    own = trailing_timesteps(16)[1]
    assert own == 937
    assert [bool(torch.allclose(landed, to(end), atol=1e-5)) for end in (937, 936, 938)] == [True, False, False]
    second = scheduler.step(v, 937, x).prev_sample
    there = [ddim_from(v, x, 937, end) for end in (own - 62, trailing_timesteps(16)[2])]
    assert own - 62 == 875
    assert trailing_timesteps(16)[2] == 874
    assert torch.allclose(second, there[0], atol=1e-4)
    assert not torch.allclose(second, there[1], atol=1e-4)


def ddim_from(v: Tensor, x_t: Tensor, start: int, end: int) -> Tensor:
    alpha, sigma = SCHEDULE.at(start, x_t)
    return ddim_step(SCHEDULE, alpha * x_t - sigma * v, alpha * v + sigma * x_t, end)


def test_the_budget_is_within_that_of_lcm() -> None:
    evaluations = sum(PD_STEPS[r.student_steps] * r.teacher_evaluations for r in rounds(PD_RECIPE)) * PD.batch_size
    assert evaluations <= 2 * LCM.steps * LCM.batch_size  # guided: two evaluations an image
    assert sum(PD_STEPS.values()) * PD.batch_size <= LCM.steps * LCM.batch_size
