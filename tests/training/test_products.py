"""Linear layers through oneDNN: the numbers of `nn.Linear` up to rounding, in both directions and to second order."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.distill.products import product, quick_products

# float32 rounds to 6e-8; sums of up to 60 numbers of order one, in another order
ROUNDING = {"rtol": 1e-5, "atol": 1e-5}


def tensors(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype).requires_grad_()


@pytest.mark.parametrize("shape", [(7, 5), (2, 9, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_values_gradients_and_their_gradients_are_those_of_linear(shape: tuple[int, ...], with_bias: bool) -> None:
    x, weight = tensors(*shape), tensors(6, 5, seed=1)
    given = [x, weight, *([tensors(6, seed=2)] if with_bias else [])]

    def passes(linear: object) -> list[Tensor]:
        made: Tensor = linear(*given)  # type: ignore[operator]
        first = torch.autograd.grad((made**3).sum(), given, create_graph=True)
        penalty = torch.stack([gradient.square().sum() for gradient in first]).sum()
        return [made, *first, *torch.autograd.grad(penalty, given)]

    ours, theirs = passes(product), passes(F.linear)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-4 * float(b.detach().abs().max()))
    assert not torch.allclose(ours[0], F.linear(x, weight.flip(0)), **ROUNDING)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_dtypes_multiply_as_before(dtype: torch.dtype) -> None:
    x, weight = tensors(3, 5, dtype=dtype), tensors(6, 5, seed=1, dtype=dtype)
    assert torch.equal(product(x, weight), F.linear(x, weight))


def test_autocast_is_left_alone() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert product(tensors(3, 5), tensors(6, 5)).dtype == torch.bfloat16


def test_no_rows_make_no_rows() -> None:
    assert product(tensors(0, 5), tensors(6, 5)).shape == (0, 6)


def test_a_network_keeps_its_weights_and_a_copy_multiplies_by_its_own() -> None:
    network = nn.Sequential(nn.Linear(5, 6), nn.GELU(), nn.Linear(6, 2))
    x = tensors(4, 5)
    before, names = network(x), list(network.state_dict())
    quick_products(network)
    assert torch.allclose(network(x), before, **ROUNDING)
    assert list(network.state_dict()) == names
    other = copy.deepcopy(network)
    nn.init.zeros_(other[0].weight)
    nn.init.zeros_(other[0].bias)
    assert torch.equal(other(x)[0], other(x)[1])
    assert torch.allclose(network(x), before, **ROUNDING)


def test_what_is_not_plainly_linear_is_left_alone() -> None:
    network = torch.nn.utils.parametrizations.spectral_norm(nn.Linear(5, 6))
    quick_products(network)
    assert "forward" not in vars(network)
