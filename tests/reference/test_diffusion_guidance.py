"""Guidance and noise mean what the stock pipeline means."""

from __future__ import annotations

import math

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from diffusers.utils.torch_utils import randn_tensor

from methods.diffusion.guidance import combine, guidance_embedding, guidance_weight, normalise
from methods.diffusion.noise import generators, initial_noise


def test_combine_extrapolates_from_the_unconditional() -> None:
    uncond, cond = torch.tensor([1.0]), torch.tensor([3.0])
    assert combine(uncond, cond, 0.0).item() == 1.0
    assert combine(uncond, cond, 1.0).item() == 3.0
    assert combine(uncond, cond, 5.0).item() == 11.0
    assert combine(cond, uncond, 5.0).item() != 11.0


def test_combine_takes_one_scale_an_image() -> None:
    uncond, cond = torch.zeros(2, 1), torch.ones(2, 1)
    assert combine(uncond, cond, torch.tensor([[2.0], [7.0]])).flatten().tolist() == [2.0, 7.0]


@pytest.mark.parametrize(("scale", "one"), [(0.0, 1.0), (0.5, 1.0), (1.0, 1.0), (1.01, 1.01), (7, 7.0)])
def test_all_ways_to_say_none_are_one_number(scale: float, one: float) -> None:
    assert normalise(scale) == one
    assert guidance_weight(scale) == one - 1


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_scales_without_meaning_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="guidance_scale must be"):
        normalise(bad)


@pytest.mark.parametrize("dim", [16, 17, 256])
def test_the_embedding_is_that_of_the_stock_pipeline(dim: int) -> None:
    w = torch.tensor([0.0, 1.5, 6.5, 14.0])
    theirs = StableDiffusionXLPipeline.get_guidance_scale_embedding(None, w, embedding_dim=dim)  # type: ignore[arg-type]
    ours = guidance_embedding(w, dim)
    # an angle of 14,000 in float32 is exact to 1e-3, and so is its sine
    assert ours.shape == (4, dim)
    assert torch.allclose(ours, theirs, atol=2e-3)
    assert not torch.allclose(guidance_embedding(w + 1, dim), theirs, atol=0.1)


def test_noise_is_what_a_stock_pipeline_draws() -> None:
    seeds, shape = [0, 7, 2**40], (8, 4, 4)
    theirs = randn_tensor((3, *shape), generator=generators(seeds), device=torch.device("cpu"), dtype=torch.float32)
    assert torch.equal(initial_noise(seeds, shape), theirs)


def test_noise_depends_on_the_seed_and_not_on_the_batch() -> None:
    batch = initial_noise([3, 4, 5], (2, 4, 4))
    assert torch.equal(batch[1:2], initial_noise([4], (2, 4, 4)))
    assert not torch.equal(batch[0], batch[1])


def test_seed_zero_is_a_seed() -> None:
    assert torch.equal(initial_noise([0], (4,)), initial_noise([0], (4,)))


def test_noise_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    initial_noise([1, 2], (4,))
    assert torch.equal(before, torch.get_rng_state())


def test_no_seeds_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one seed"):
        initial_noise([], (4,))
