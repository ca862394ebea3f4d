"""Two processes are one process: the same gradients and the same weights, because random numbers belong to samples."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor, nn

from methods.distill.draws import Draws, Share
from methods.distill.loop import TrainConfig, train
from methods.distill.objective import Batch, Objective
from methods.distill.parallel import current_share, process_group

BATCH = 16


class Denoising(Objective):
    """A small network that removes noise; `own_noise` gives each process noise of its own, as it must not be."""

    def __init__(self, own_noise: bool = False) -> None:
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(4, 32), nn.SiLU(), nn.Linear(32, 4)).double()
        self.own_noise = own_noise

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        return {"network": self.network}

    def losses(self, network: str, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        x = batch["x"]
        if self.own_noise:
            draws = Draws(draws.rng)
        level = draws.stratified(len(x))[:, None] * draws.uniform(len(x), 1)
        shift = draws.integers(0, 3, len(x), 1)
        noisy = x + level * draws.normal(*x.shape) + shift
        return {"error": (self.network(noisy) - x).square().mean()}


def batch_at(step: int) -> Batch:
    whole = torch.randn(BATCH, 4, generator=torch.Generator().manual_seed(step), dtype=torch.float64)
    return {"x": current_share().rows(whole)}


def trained(steps: int, optimizer: str, own_noise: bool = False) -> dict[str, Tensor]:
    """The weights after `steps` and the gradients of the last of them."""
    objective = Denoising(own_noise)
    config = TrainConfig(
        steps=steps, batch_size=BATCH, learning_rate=0.01, optimizer=optimizer, warmup_steps=1, ema_decay=None,
        max_grad_norm=1e9,
    )  # type: ignore[arg-type]  # fmt: skip
    losses = [log.losses["network/error"] for log in train(objective, batch_at, config)]
    made = {f"weight/{name}": p.detach() for name, p in objective.network.named_parameters()}
    made |= {f"gradient/{name}": p.grad for name, p in objective.network.named_parameters() if p.grad is not None}
    return made | {"losses": torch.tensor(losses)}


def _work(rank: int, port: int, folder: Path, arguments: tuple[int, str, bool]) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with process_group() as share:
        assert share == Share(rank, 2)
        torch.save(trained(*arguments), folder / f"{rank}.pt")


@pytest.fixture
def in_two(tmp_path: Path) -> Callable[..., list[dict[str, Tensor]]]:
    def run(*arguments: object) -> list[dict[str, Tensor]]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        mp.spawn(_work, (port, tmp_path, arguments), nprocs=2)  # type: ignore[no-untyped-call]
        return [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]

    return run


def difference(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_two_processes_take_the_steps_of_one(in_two: Callable[..., list[dict[str, Tensor]]], optimizer: str) -> None:
    # gradients travel as float32, whose rounding is 6e-8
    alone, (first, second) = trained(1, optimizer), in_two(1, optimizer, False)
    assert all(difference(first[key], alone[key]) < 1e-6 for key in alone)
    alone, (first, second) = trained(10, optimizer), in_two(10, optimizer, False)
    assert all(difference(first[key], alone[key]) < 1e-4 for key in alone if key.startswith("weight"))
    assert all(torch.equal(first[key], second[key]) for key in alone), "the processes came apart"


def test_noise_that_belongs_to_a_process_is_noticed(in_two: Callable[..., list[dict[str, Tensor]]]) -> None:
    alone, (first, _) = trained(1, "adamw"), in_two(1, "adamw", True)
    assert difference(first["gradient/0.weight"], alone["gradient/0.weight"]) > 0.01


def test_shares_are_equal_parts_in_order() -> None:
    whole = torch.arange(6)
    assert [Share(rank, 3).rows(whole).tolist() for rank in range(3)] == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(ValueError, match="does not divide into 4"):
        Share(0, 4).rows(whole)


def test_stratified_numbers_visit_every_interval_once() -> None:
    numbers = Draws(torch.Generator().manual_seed(0)).stratified(64)
    assert sorted((numbers * 64).long().tolist()) == list(range(64))


def test_a_stratified_number_is_never_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """127 and a number just below 1 add up to 128 in float32: an index of T times that would be outside."""
    largest = 1 - 2**-24
    monkeypatch.setattr(torch, "rand", lambda n, generator, device: torch.full((n,), largest))
    assert float((torch.tensor(127.0) + largest) / 128) == 1.0
    drawn = Draws(torch.Generator().manual_seed(0)).stratified(128)
    assert float(drawn.max()) < 1
    assert int((drawn * 1000).long().max()) == 999
