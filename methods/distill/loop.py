"""The one training loop, a generator: `for log in train(objective, batch_at, config, folder)`.

Logging, sample grids and progress bars belong to the caller's `for`. Every random number of step k comes from a
generator seeded by (seed, k) and every batch is `batch_at(k)`, so a resumed run is the run that was never stopped.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from methods.distill.checkpoint import load_checkpoint, save_checkpoint
from methods.distill.compute import Compute, held
from methods.distill.draws import Draws, Share
from methods.distill.ema import frozen_copy, update_ema, warm_decay
from methods.distill.muon import Muon
from methods.distill.objective import Batch, Objective
from methods.distill.parallel import average_gradients, current_share
from methods.distill.products import quick_products
from methods.errors import FewstepError


class TrainingDiverged(FewstepError):
    """A loss or a gradient stopped being finite. The last good checkpoint is kept."""


@dataclass(frozen=True)
class TrainConfig:
    """How long and how fast.

    `optimizer` is "adamw", or "muon": Muon for the matrices and filters at `learning_rate`, AdamW at `vector_rate` for
    embeddings and vectors. `optimizers` and `learning_rates` override both for single networks. `momentum` is Muon's,
    `betas` are AdamW's.
    """

    steps: int
    batch_size: int
    learning_rate: float
    optimizer: Literal["adamw", "muon"] = "adamw"
    vector_rate: float = 1e-3
    optimizers: Mapping[str, Literal["adamw", "muon"]] = field(default_factory=dict)
    learning_rates: Mapping[str, float] = field(default_factory=dict)
    warmup_steps: int = 100
    decay_fraction: float = 1.0  # the last part of the steps over which the rate falls to zero along a half cosine
    momentum: float = 0.95
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    ema_decay: float | None = 0.999
    seed: int = 0
    checkpoint_every: int = 500


@dataclass(frozen=True)
class Log:
    """One finished step. `losses` has the latest value of every term: a network need not learn in every step. `seconds`
    is training time so far, over all sittings; `history` has a row for each config the training went on with,
    {"from_step", "config"}: one, unless it was resumed with another."""

    step: int
    losses: dict[str, float]
    learning_rate: float
    seconds: float
    averages: Mapping[str, nn.Module]
    history: Sequence[Mapping[str, Any]] = ()


def train(
    objective: Objective,
    batch_at: Callable[[int], Batch],
    config: TrainConfig,
    folder: Path | None = None,
    compute: Compute = Compute(),  # noqa: B008  (frozen)
) -> Iterator[Log]:
    """Train `objective.trained` for `config.steps` steps, going on from the checkpoint in `folder` if there is one.

    Under a launcher each process yields batches of its own share; gradients and losses are averaged over them, and only
    the first writes checkpoints. `compute` says on which device, in which precision and in how many micro-batches; the
    objective's networks must be on that device. Yields a `Log` after every step; `Log.averages` are the EMA networks
    (the networks themselves without EMA). On a CPU linear layers multiply through oneDNN from here on.

    Raises:
        TrainingDiverged: naming step, network and loss term that was not finite.
    """
    share = current_share()
    run = _Run(objective, config)
    trained, optimizers, averages = run.trained, run.optimizers, run.averages
    start, seconds, history, losses = run.resume(folder)
    history = extended(history, start, config)
    for step in range(start, config.steps):
        began = time.monotonic()
        losses = losses | _step(objective, trained, optimizers, batch_at(step), step, config, share, compute)
        for name in (name for name in averages if objective.updates(name, step)):
            update_ema(averages[name], trained[name], warm_decay(config.ema_decay or 0.0, step))
        objective.after_step(step)
        seconds += time.monotonic() - began
        done = step + 1
        if folder is not None and share.rank == 0 and (done % config.checkpoint_every == 0 or done == config.steps):
            extra = {"seconds": seconds, "history": history, "losses": losses}
            save_checkpoint(folder, done, run.stored, optimizers, extra)
        yield Log(
            done,
            losses,
            learning_rate_factor(step, config) * config.learning_rate,
            seconds,
            averages or trained,
            history,
        )


def restore(objective: Objective, config: TrainConfig, folder: Path) -> Log:
    """The state of the checkpoint in `folder` without training further.

    Raises:
        FileNotFoundError: where there is none.
    """
    run = _Run(objective, config)
    step, seconds, history, losses = run.resume(folder)
    if step == 0:
        raise FileNotFoundError(f"no training checkpoint in {folder}")
    rate = learning_rate_factor(step - 1, config) * config.learning_rate
    return Log(step, losses, rate, seconds, run.averages or run.trained, history)


def extended(history: Sequence[Mapping[str, Any]], step: int, config: TrainConfig) -> list[Mapping[str, Any]]:
    """`history` with `config` from `step` on, where it is not what the training had before."""
    now = json.loads(json.dumps(asdict(config)))
    if history and history[-1]["config"] == now:
        return list(history)
    return [*history, {"from_step": step, "config": now}]


class _Run:
    """The networks and optimisers of one training, and their checkpoint."""

    def __init__(self, objective: Objective, config: TrainConfig) -> None:
        for network in held(objective):
            quick_products(network)
        self.trained = dict(objective.trained)
        self.optimizers: dict[str, Optimizer] = {}
        for name, network in self.trained.items():
            self.optimizers |= _optimizers(name, network, config)
        self.averages: dict[str, nn.Module] = {}
        if config.ema_decay:
            self.averages = {name: frozen_copy(network) for name, network in self.trained.items()}
        self.stored = {
            **self.trained,
            **{f"{name}.ema": network for name, network in self.averages.items()},
            **{f"{name}.follower": network for name, network in objective.followers.items()},
        }

    def resume(self, folder: Path | None) -> tuple[int, float, list[Mapping[str, Any]], dict[str, float]]:
        """Step, seconds, configs and latest losses of the training so far: those of the checkpoint, or none."""
        found = load_checkpoint(folder, self.stored, self.optimizers) if folder is not None else None
        if found is None:
            return 0, 0.0, [], {}
        step, extra = found
        return step, float(extra["seconds"]), extra.get("history", []), extra.get("losses", {})


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
    share: Share,
    compute: Compute,
) -> dict[str, float]:
    """One update of every network that learns in this step, in order; the losses before it."""
    values: dict[str, float] = {}
    parts = compute.parts(objective, batch, Draws(step_generator(config.seed, step), share))
    factor = learning_rate_factor(step, config)
    for name, network in trained.items():
        if not objective.updates(name, step):
            continue
        network.zero_grad(set_to_none=True)
        means = average_gradients(network, _accumulate(name, network, parts, compute))
        norm = nn.utils.clip_grad_norm_(network.parameters(), config.max_grad_norm)
        _check_finite(step, name, {**means, "gradient norm": norm})
        for optimizer in (found for key, found in optimizers.items() if key.split("/")[0] == name):
            for group in optimizer.param_groups:
                group["lr"] = factor * group["initial_lr"]
            optimizer.step()
        values |= {f"{name}/{term}": float(value) for term, value in means.items()}
    return values


def _accumulate(
    name: str, network: nn.Module, parts: Sequence[tuple[Objective, Batch, Draws]], compute: Compute
) -> dict[str, Tensor]:
    """Add the gradients of one network over the micro-batches; its loss terms, averaged over them.

    No gradient of another network is computed, whatever the losses pass through.
    """
    means: dict[str, Tensor] = {}
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for objective, batch, draws in parts:
        with compute.losses():
            terms = objective.losses(name, batch, draws)
        torch.autograd.backward(torch.stack(list(terms.values())).sum() / len(parts), inputs=learning)
        for term, value in terms.items():
            share = value.detach() / len(parts)
            means[term] = means[term] + share if term in means else share
    return means


def _check_finite(step: int, network: str, terms: Mapping[str, Tensor]) -> None:
    for term, value in terms.items():
        if not torch.isfinite(value):
            raise TrainingDiverged(f"step {step}, batch {step}, network {network!r}: {term} is {value.item()}")


def _optimizers(name: str, network: nn.Module, config: TrainConfig) -> dict[str, Optimizer]:
    """The optimisers of one network, by "network/kind"; vectors never decay."""
    rate = config.learning_rates.get(name, config.learning_rate)
    embeddings = {id(m.weight) for m in network.modules() if isinstance(m, nn.Embedding)}
    parameters = [p for p in network.parameters() if p.requires_grad]
    matrices = [p for p in parameters if p.ndim >= 2 and id(p) not in embeddings]
    others = [p for p in parameters if p.ndim < 2 or id(p) in embeddings]
    made: dict[str, Optimizer] = {}
    if config.optimizers.get(name, config.optimizer) == "muon":
        made[f"{name}/muon"] = Muon(matrices, lr=rate, momentum=config.momentum, weight_decay=config.weight_decay)
        groups = [{"params": others, "weight_decay": 0.0}]
        rate = config.vector_rate
    else:
        groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    if groups:
        made[f"{name}/adamw"] = torch.optim.AdamW(groups, lr=rate, betas=config.betas, foreach=True)
    for optimizer in made.values():
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    return made
