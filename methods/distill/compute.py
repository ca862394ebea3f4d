"""On which device, in which precision and in how many parts a step is computed. None of it changes what a step means.

A step's batch may be worked off in micro-batches whose gradients add up (accumulation). A micro-batch is to the whole
what a process's share is: its rows of the batch, and its rows of the random numbers.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from methods.distill.draws import CPU, Draws, Share
from methods.distill.objective import Batch, Objective


@dataclass(frozen=True)
class Compute:
    """How the losses of a step are computed.

    `autocast` is the dtype of matrix products and convolutions; None leaves every operation in its operands' own.
    Weights, gradients and optimiser states are not affected.

    Raises:
        ValueError: for an accumulation below 1.
    """

    device: torch.device = CPU
    autocast: torch.dtype | None = None
    accumulation: int = 1

    def __post_init__(self) -> None:
        if self.accumulation < 1:
            raise ValueError(f"accumulation must be at least 1, got {self.accumulation}")

    def parts(self, objective: Objective, batch: Batch, seeded: Draws) -> list[tuple[Objective, Batch, Draws]]:
        """The micro-batches of a step: objective, rows and random numbers of each.

        Each of several has a shallow copy of the objective, so that what the losses of one network leave for those of
        the next stays with its samples; the networks are shared. Each has a generator of its own, of equal seed.

        Raises:
            ValueError: where the batch does not divide into equal parts.
        """
        rank, ranks = seeded.share.rank, seeded.share.ranks
        made: list[tuple[Objective, Batch, Draws]] = []
        for index in range(self.accumulation):
            share = Share(rank * self.accumulation + index, ranks * self.accumulation)
            rng = torch.Generator(seeded.rng.device)
            rng.set_state(seeded.rng.get_state())
            rows = batch if self.accumulation == 1 else rows_of(batch, Share(index, self.accumulation))
            own = objective if self.accumulation == 1 else copy.copy(objective)
            made.append((own, moved(rows, self.device), Draws(rng, share, self.device)))
        return made

    @contextmanager
    def losses(self) -> Iterator[None]:
        """What the losses are computed under: tensors are made on the device, products are taken in `autocast`."""
        with ExitStack() as stack:
            if self.device.type != "cpu":
                stack.enter_context(torch.device(self.device))
            if self.autocast is not None:
                stack.enter_context(torch.autocast(self.device.type, self.autocast))
            yield


def rows_of(value: Any, share: Share) -> Any:
    """A share of a batch: of every tensor, list and tuple in it, also within mappings and dataclasses.

    Raises:
        TypeError: for something without rows.
    """
    rows: Any = value
    if isinstance(value, Tensor | list | tuple):
        return share.rows(rows)
    if isinstance(value, Mapping):
        return {key: rows_of(item, share) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: rows_of(getattr(value, field.name), share) for field in fields(value)})
    raise TypeError(f"a batch holds a {type(value).__name__}, which has no rows to accumulate over")


def moved(value: Any, device: torch.device) -> Any:
    """A batch with every tensor of it on `device`."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {key: moved(item, device) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: moved(getattr(value, field.name), device) for field in fields(value)})
    return value


def place(objective: Objective, device: torch.device) -> None:
    """Move all that an objective holds to `device`, in place: networks, tensors, and the networks of its denoisers.

    Noise schedules stay on the CPU in float64; they are looked up there.
    """
    for name, value in vars(objective).items():
        if isinstance(value, Tensor):
            setattr(objective, name, value.to(device))
    for network in held(objective):
        network.to(device)


def held(objective: Objective) -> Iterator[nn.Module]:
    """The networks that an objective holds, by themselves or in a dataclass such as a denoiser."""
    for value in vars(objective).values():
        if isinstance(value, nn.Module):
            yield value
        elif is_dataclass(value) and not isinstance(value, type):
            parts = (getattr(value, field.name) for field in fields(value))
            yield from (part for part in parts if isinstance(part, nn.Module))
