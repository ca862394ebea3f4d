"""A converged LCM is the map of its own DDIM grid, and that tends to the probability flow as the skip shrinks."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from diffusers import LCMScheduler
from torch import Tensor

from methods.diffusion.boundary import boundary_scalings
from methods.diffusion.timesteps import consistency_grid
from methods.distill.draws import Draws
from methods.distill.loop import TrainConfig, step_generator, train
from methods.distill.objective import Batch
from methods.lcm import LCM
from methods.lcm.objective import LcmObjective, LcmRecipe
from tests.training.gaussian import (
    CONFIG,
    MEAN,
    NULL_MEAN,
    SHAPE,
    VARIANCE,
    GaussianUNet,
    TableUNet,
    composed,
    condition,
    denoiser,
    flow_map,
)

W = 1.5


def recipe(points: int, w: float = 0.0) -> LcmRecipe:
    return LcmRecipe(original_inference_steps=points, w_min=w, w_max=w, loss="l2")


def converged(points: int, mean: Tensor = MEAN, *, flow: bool = False) -> TableUNet:
    """The closed form: f at each grid point is the DDIM steps down the grid to timestep 0 (or the flow's map there)."""
    grid = (*consistency_grid(points), 0)
    gain, offset = (torch.zeros(1000, *SHAPE, dtype=torch.float64) for _ in range(2))
    for k, t in enumerate(grid[:-1]):
        wanted_gain, wanted_offset = composed(grid[k:], mean)
        if flow:
            wanted_offset = flow_map(torch.zeros(1, *SHAPE, dtype=torch.float64), t, 0, mean)[0]
            wanted_gain = flow_map(torch.ones(1, *SHAPE, dtype=torch.float64), t, 0, mean)[0] - wanted_offset
        c_skip, c_out = boundary_scalings(t, wanted_gain)
        gain[t], offset[t] = (wanted_gain - c_skip) / c_out, wanted_offset / c_out
    return TableUNet(gain, offset)


def loss(student: TableUNet, points: int, w: float = 0.0) -> float:
    rng = torch.Generator().manual_seed(2)
    latents = MEAN + VARIANCE.sqrt() * torch.randn(64, *SHAPE, generator=rng, dtype=torch.float64)
    trained = LcmObjective(denoiser(student), denoiser(GaussianUNet()), recipe(points, w))
    batch = {"latents": latents, "condition": condition(64)}
    return float(trained.losses("student", batch, Draws(step_generator(0, 0)))["consistency"].detach())


@pytest.mark.parametrize("points", [10, 50])
def test_the_map_of_the_ddim_grid_is_where_the_loss_is_nothing(points: int) -> None:
    assert loss(converged(points), points) < 1e-24
    assert loss(converged(points, flow=True), points) > 1e-8  # the exact flow is not what this grid teaches
    assert loss(converged(2 * points), points) > 1e-8  # nor is a finer grid's map, where they have points in common


def test_guidance_is_distilled_with_the_map() -> None:
    """Both guided predictions have one gain, so guidance moves the mean: w outward from the null condition's."""
    mean = MEAN + W * (MEAN - NULL_MEAN)
    assert loss(converged(50, mean), 50, w=W) < 1e-24
    assert loss(converged(50), 50, w=W) > 1e-3


def test_training_gets_there() -> None:
    """From nothing, by the loop itself, on a grid of five points and one coordinate."""
    points, mean, variance = 5, MEAN.reshape(-1)[:1], VARIANCE.reshape(-1)[6:7]
    wide = GaussianUNet(mean.view(1, 1, 1), variance.view(1, 1, 1))
    student = TableUNet(torch.zeros(1000, dtype=torch.float64), torch.zeros(1000, dtype=torch.float64))
    trained = LcmObjective(denoiser(student), denoiser(wide), recipe(points))

    def batch_at(step: int) -> Batch:
        rng = torch.Generator().manual_seed(step)
        latents = mean + variance.sqrt() * torch.randn(64, 1, 1, 1, generator=rng, dtype=torch.float64)
        return {"latents": latents, "condition": condition(64)}

    config = TrainConfig(
        steps=700, batch_size=64, learning_rate=0.05, betas=(0.9, 0.99), weight_decay=0.0, ema_decay=None,
        warmup_steps=1, decay_fraction=0.5,
    )  # fmt: skip
    for _ in train(trained, batch_at, config):
        pass
    grid = (*consistency_grid(points), 0)
    assert grid == (999, 799, 599, 399, 199, 0)
    for k, t in enumerate(grid[:-1]):
        gain, offset = composed(grid[k:], mean, variance)
        # the residual is nothing at the minimum, so the noise of batches dies out with it; errors add up along the grid
        assert float(student.gain[t]) == pytest.approx(float(gain), abs=5e-3)
        assert float(student.offset[t]) == pytest.approx(float(offset), abs=5e-3)
    finer, _ = composed((*consistency_grid(50), 0), mean, variance)
    assert abs(float(student.gain[999]) - float(finer)) > 0.02  # another grid's map would have been told apart


def test_stock_lcm_sampling_in_one_step_is_that_map() -> None:
    student = converged(50).float()
    scheduler = LCMScheduler.from_config(CONFIG, **LCM.default_recipe.scheduler_config)
    scheduler.set_timesteps(1)
    x = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(3))
    output = denoiser(student).output(x, torch.full((3,), 999), condition(3)).detach()
    image = scheduler.step(output, scheduler.timesteps[0], x).prev_sample
    gain, offset = composed((*consistency_grid(50), 0))
    assert torch.allclose(image, (gain * x + offset).float(), atol=1e-4)  # float32, numbers of about 5
    assert not torch.allclose(image, flow_map(x.double(), 999, 0).float(), atol=1e-2)


def test_the_map_tends_to_the_probability_flow_as_the_skip_shrinks() -> None:
    """DDIM is of first order: half the skip, half the error."""
    x = torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    exact = flow_map(x, 999, 0)
    errors = []
    for points in (25, 50, 125, 250, 500, 1000):
        gain, offset = composed((*consistency_grid(points), 0))
        errors.append(float((gain * x + offset - exact).abs().max()))
    assert all(finer < coarser for coarser, finer in pairwise(errors))
    assert errors[-1] < 0.1 * errors[0]
    for coarser, finer in ((1, 0), (4, 3), (5, 4)):
        assert errors[coarser] / errors[finer] == pytest.approx(0.5, abs=0.1)
    other = flow_map(x, 999, 0, NULL_MEAN)
    assert float((gain * x + offset - other).abs().max()) > errors[0]  # it does not tend to another flow


def test_a_range_of_w_needs_a_student_that_is_told_it() -> None:
    with pytest.raises(ValueError, match="time_cond_proj_dim"):
        LcmObjective(denoiser(converged(50)), denoiser(GaussianUNet()), LcmRecipe(w_min=1.0, w_max=4.0))
