"""The one training loop, a generator: `for log in train(objective, batch_at, config, folder)`.

Logging, sample grids and progress bars belong to the caller's `for`. Every random number of step k comes from a
generator seeded by (seed, k) and every batch is `batch_at(k)`, so a resumed run is the run that was never stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from methods.distill.checkpoint import load_checkpoint, save_checkpoint
from methods.distill.ema import frozen_copy, update_ema, warm_decay
from methods.distill.objective import Batch, Objective


class TrainingDiverged(RuntimeError):
    """A loss or a gradient stopped being finite. The last good checkpoint is kept."""


@dataclass(frozen=True)
class TrainConfig:
    """How long and how fast. `learning_rate` may be overridden for single networks by `learning_rates`."""

    steps: int
    batch_size: int
    learning_rate: float
    learning_rates: Mapping[str, float] = field(default_factory=dict)
    warmup_steps: int = 100
    decay_fraction: float = 1.0  # the last part of the steps over which the rate falls to zero along a half cosine
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    ema_decay: float | None = 0.999
    seed: int = 0
    checkpoint_every: int = 500


@dataclass(frozen=True)
class Log:
    """One finished step. `seconds` is training time so far, over all sittings."""

    step: int
    losses: dict[str, float]
    learning_rate: float
    seconds: float
    averages: Mapping[str, nn.Module]


def train(
    objective: Objective, batch_at: Callable[[int], Batch], config: TrainConfig, folder: Path | None = None
) -> Iterator[Log]:
    """Train `objective.trained` for `config.steps` steps, going on from the checkpoint in `folder` if there is one.

    Yields a `Log` after every step; `Log.averages` are the EMA networks (the networks themselves without EMA).

    Raises:
        TrainingDiverged: naming step, network and loss term that was not finite.
    """
    trained = dict(objective.trained)
    optimizers = {name: _optimizer(network, name, config) for name, network in trained.items()}
    averages = {name: frozen_copy(network) for name, network in trained.items()} if config.ema_decay else {}
    stored = _stored_networks(objective, trained, averages)
    start, seconds = 0, 0.0
    if folder is not None and (found := load_checkpoint(folder, stored, optimizers)):
        start, seconds = found[0], found[1]["seconds"]
    for step in range(start, config.steps):
        began = time.monotonic()
        losses = _step(objective, trained, optimizers, batch_at(step), step, config)
        for name, average in averages.items():
            update_ema(average, trained[name], warm_decay(config.ema_decay or 0.0, step))
        objective.after_step(step)
        seconds += time.monotonic() - began
        done = step + 1
        if folder is not None and (done % config.checkpoint_every == 0 or done == config.steps):
            save_checkpoint(folder, done, stored, optimizers, {"seconds": seconds, "config": asdict(config)})
        yield Log(done, losses, learning_rate_factor(step, config) * config.learning_rate, seconds, averages or trained)


def learning_rate_factor(step: int, config: TrainConfig) -> float:
    """Linear warm-up, constant, then a half cosine to zero over the last `decay_fraction` of the steps."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    decay_steps = max(1, round(config.decay_fraction * config.steps))
    progress = max(0.0, (step - (config.steps - decay_steps)) / decay_steps)
    return 0.5 * (1 + math.cos(math.pi * progress))


def step_generator(seed: int, step: int, device: str | torch.device = "cpu") -> torch.Generator:
    """The random stream of one step, independent of every other step's."""
    return torch.Generator(device).manual_seed((seed * 1_000_003 + step) * 2_654_435_761 % 2**63)


def _step(
    objective: Objective,
    trained: Mapping[str, nn.Module],
    optimizers: Mapping[str, Optimizer],
    batch: Batch,
    step: int,
    config: TrainConfig,
) -> dict[str, float]:
    """One update of every network, in order; the losses before it."""
    values: dict[str, float] = {}
    rng = step_generator(config.seed, step)
    factor = learning_rate_factor(step, config)
    for name, network in trained.items():
        terms = objective.losses(name, batch, rng)
        optimizer = optimizers[name]
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        norm = nn.utils.clip_grad_norm_(network.parameters(), config.max_grad_norm)
        _check_finite(step, name, {**terms, "gradient norm": norm})
        for group in optimizer.param_groups:
            group["lr"] = factor * config.learning_rates.get(name, config.learning_rate)
        optimizer.step()
        values |= {f"{name}/{term}": float(value.detach()) for term, value in terms.items()}
    return values


def _check_finite(step: int, network: str, terms: Mapping[str, Tensor]) -> None:
    for term, value in terms.items():
        if not torch.isfinite(value):
            raise TrainingDiverged(f"step {step}, batch {step}, network {network!r}: {term} is {float(value)}")


def _optimizer(network: nn.Module, name: str, config: TrainConfig) -> Optimizer:
    """AdamW; only matrices and filters decay."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    rate = config.learning_rates.get(name, config.learning_rate)
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=rate, betas=config.betas, foreach=True)


def _stored_networks(
    objective: Objective, trained: Mapping[str, nn.Module], averages: Mapping[str, nn.Module]
) -> dict[str, nn.Module]:
    return {
        **trained,
        **{f"{name}.ema": network for name, network in averages.items()},
        **{f"{name}.follower": network for name, network in objective.followers.items()},
    }
