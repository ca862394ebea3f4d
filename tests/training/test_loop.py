"""The training loop: resume is bit-identical, a NaN stops it by name, the learning rate is what its schedule says."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from methods.distill.checkpoint import CHECKPOINT
from methods.distill.draws import Draws
from methods.distill.ema import frozen_copy, update_ema, warm_decay
from methods.distill.loop import Log, TrainConfig, TrainingDiverged, learning_rate_factor, restore, train
from methods.distill.objective import Batch, Objective


class Regression(Objective):
    """Two networks and a follower: a line, a line on top of it, and an average of the first."""

    def __init__(self, poison_at: int | None = None) -> None:
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 1)
        self.target = frozen_copy(self.first)
        self.poison_at, self.step = poison_at, 0

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        return {"first": self.first, "second": self.second}

    @property
    def followers(self) -> Mapping[str, nn.Module]:
        return {"target": self.target}

    def losses(self, network: str, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        x = batch["x"] + 0.1 * draws.normal(*batch["x"].shape)
        error = (self.second(self.first(x)) - x.sum(dim=1, keepdim=True)).square().mean()
        if self.step == self.poison_at and network == "second":
            error = error * torch.nan
        return {"error": error, "pull": 0.1 * (self.first(x) - self.target(x)).square().mean()}

    def after_step(self, step: int) -> None:
        self.step = step + 1
        update_ema(self.target, self.first, 0.9)


def batch_at(step: int) -> Batch:
    return {"x": torch.randn(8, 3, generator=torch.Generator().manual_seed(step))}


def config(**changes: object) -> TrainConfig:
    defaults: dict[str, object] = {
        "steps": 12,
        "batch_size": 8,
        "learning_rate": 0.05,
        "warmup_steps": 2,
        "checkpoint_every": 5,
    }
    return TrainConfig(**{**defaults, **changes})  # type: ignore[arg-type]


def weights(objective: Regression, log: Log) -> list[Tensor]:
    networks = (objective.first, objective.second, objective.target, *log.averages.values())
    return [parameter.detach().clone() for network in networks for parameter in network.parameters()]


def run(folder: Path | None, until: int = 12, **changes: object) -> list[Tensor]:
    """Train and stop the way a kill does: without a word, after `until` steps."""
    objective = Regression()
    for log in train(objective, batch_at, config(**changes), folder):
        if log.step == until:
            break
    return weights(objective, log)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_resumed_run_is_the_run_that_was_never_stopped(tmp_path: Path, optimizer: str) -> None:
    whole = run(None, optimizer=optimizer)
    run(tmp_path, until=7, optimizer=optimizer)  # the last checkpoint is that of step 5
    resumed = run(tmp_path, optimizer=optimizer)
    assert all(torch.equal(a, b) for a, b in zip(whole, resumed, strict=True))


def test_the_comparison_notices_a_checkpoint_without_optimiser(tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    whole = run(None)
    run(tmp_path, until=7)
    path = tmp_path / CHECKPOINT
    with safe_open(path, framework="pt") as file:
        metadata, names = file.metadata(), [key for key in file.keys() if not key.startswith("optimizer/")]  # noqa: SIM118
        kept = {key: file.get_tensor(key) for key in names}
    save_file(kept, path, metadata)
    resumed = run(tmp_path)
    assert not all(torch.equal(a, b) for a, b in zip(whole, resumed, strict=True))


def test_a_finished_training_is_restored_without_a_step(tmp_path: Path) -> None:
    whole = run(tmp_path)
    objective = Regression()
    log = restore(objective, config(), tmp_path)
    assert log.step == 12
    assert all(torch.equal(a, b) for a, b in zip(whole, weights(objective, log), strict=True))
    with pytest.raises(FileNotFoundError):
        restore(Regression(), config(), tmp_path / "nothing")


def test_a_nan_stops_the_run_by_name_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(TrainingDiverged, match=r"step 7, batch 7, network 'second': error is nan"):
        list(train(Regression(poison_at=7), batch_at, config(), tmp_path))
    log = restore(Regression(), config(), tmp_path)
    assert log.step == 5
    assert all(torch.isfinite(p).all() for network in log.averages.values() for p in network.parameters())


def test_training_lowers_the_loss() -> None:
    logs = list(train(Regression(), batch_at, config(steps=60)))
    assert logs[-1].losses["second/error"] < 0.1 * logs[0].losses["second/error"]


def test_learning_rate_warms_up_stays_and_falls_to_zero() -> None:
    plan = config(steps=100, warmup_steps=10, decay_fraction=0.5)
    factors = [learning_rate_factor(step, plan) for step in range(101)]
    assert factors[0] == 0.1
    assert factors[9:51] == [1.0] * 42
    assert factors[75] == pytest.approx(0.5)
    assert factors[100] == pytest.approx(0.0)
    assert all(a >= b for a, b in pairwise(factors[50:]))


def test_ema_is_the_closed_form() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    average = frozen_copy(network)
    nn.init.ones_(network.weight)
    for _ in range(10):
        update_ema(average, network, 0.9)
    assert float(average.weight) == pytest.approx(1 - 0.9**10, rel=1e-6)
    assert not average.weight.requires_grad
    assert warm_decay(0.999, 0) == 0.1
    assert warm_decay(0.999, 10**6) == 0.999


def test_a_change_of_config_between_sittings_is_kept_on_record(tmp_path: Path) -> None:
    run(tmp_path, until=7)
    log = list(train(Regression(), batch_at, config(learning_rate=0.01), tmp_path))[-1]
    assert [row["from_step"] for row in log.history] == [0, 5]
    assert [row["config"]["learning_rate"] for row in log.history] == [0.05, 0.01]
    assert restore(Regression(), config(), tmp_path).history == log.history
