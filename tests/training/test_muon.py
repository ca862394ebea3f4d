"""Muon agrees with torch's own on matrices, and treats a filter as the matrix it is."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from methods.distill.muon import Muon, orthogonalise


def steps(optimizer: torch.optim.Optimizer, parameter: nn.Parameter, n: int = 5) -> None:
    for k in range(n):
        parameter.grad = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(k))
        optimizer.step()


@pytest.mark.parametrize("shape", [(6, 10), (10, 6), (8, 8)])
def test_matrices_move_as_under_torch_muon(shape: tuple[int, int]) -> None:
    start = torch.randn(shape, generator=torch.Generator().manual_seed(9))
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    steps(Muon([ours], lr=0.1, weight_decay=0.1), ours)
    steps(torch.optim.Muon([theirs], lr=0.1, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"), theirs)
    # torch iterates in bfloat16, rounding at 2^-9; five steps of 0.1 * 0.2 * sqrt(10) move an entry by at most 0.3
    assert torch.allclose(ours, theirs, atol=0.02)
    assert not torch.allclose(ours, start, atol=0.02)


def test_a_filter_moves_as_its_matrix() -> None:
    start = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(1))
    filters, matrix = nn.Parameter(start.clone()), nn.Parameter(start.reshape(4, 27).clone())
    for parameter in (filters, matrix):
        optimizer = Muon([parameter], lr=0.1)
        for k in range(3):
            gradient = torch.randn(4, 27, generator=torch.Generator().manual_seed(k))
            parameter.grad = gradient.reshape(parameter.shape)
            optimizer.step()
    assert torch.equal(filters.detach().reshape(4, 27), matrix.detach())


def test_orthogonalised_singular_values_are_near_one() -> None:
    matrix = torch.randn(12, 20, generator=torch.Generator().manual_seed(3))
    values = torch.linalg.svdvals(orthogonalise(matrix))
    assert values.min() > 0.5  # the quintic's band about 1 is 0.68 .. 1.13 for values that are not tiny
    assert values.max() < 1.3
    assert torch.linalg.svdvals(matrix).max() > 2  # what went in was far from it


def test_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match="AdamW"):
        Muon([nn.Parameter(torch.zeros(3))])
