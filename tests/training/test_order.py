"""Which images a step of the embedded suite sees: a shuffle an epoch, by the seed alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from bench.suites.shapes.training.data import LatentBatches

IMAGES, BATCH = 12, 4


@pytest.fixture
def path(tmp_path: Path) -> Path:
    tensors = {"latents": torch.randn(IMAGES, 1, 2, 2), "tokens": torch.arange(IMAGES).short()[:, None]}
    save_file(tensors, tmp_path / "latents.safetensors")
    return tmp_path / "latents.safetensors"


def test_each_epoch_is_a_shuffle_of_its_own(path: Path) -> None:
    batches = LatentBatches(path, BATCH, seed=3)
    for epoch in range(2):
        shuffled = torch.randperm(IMAGES, generator=torch.Generator().manual_seed(3 * 1_000_003 + epoch))
        seen = torch.cat([batches.indices(3 * epoch + step) for step in range(3)])
        assert torch.equal(seen, shuffled)


def test_a_step_has_its_images_whatever_came_before(path: Path) -> None:
    in_order, alone = LatentBatches(path, BATCH, seed=3), LatentBatches(path, BATCH, seed=3)
    seen = [in_order.indices(step) for step in range(6)]
    assert torch.equal(alone.indices(5), seen[5])
    assert torch.equal(alone.indices(0), seen[0])
    assert not torch.equal(LatentBatches(path, BATCH, seed=4).indices(0), seen[0])


def test_a_batch_holds_the_images_of_its_step(path: Path) -> None:
    batch = LatentBatches(path, BATCH, seed=3)(4)
    assert torch.equal(batch["tokens"][:, 0], batch["indices"])
