"""What a training is made of: the networks that learn and the losses of each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from methods.distill.draws import Draws

Batch = Mapping[str, Any]


class Objective(ABC):
    """One training: a distillation, a teacher, a judge. The loop is shared; an objective has no optimiser or clock."""

    @property
    @abstractmethod
    def trained(self) -> Mapping[str, nn.Module]:
        """The networks that learn, one optimiser each, updated in this order within a step."""

    @property
    def followers(self) -> Mapping[str, nn.Module]:
        """Networks that change without an optimiser (an EMA target): they are stored in the checkpoint as well."""
        return {}

    @abstractmethod
    def losses(self, network: str, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        """The named loss terms of `network`, scalars whose sum is minimised.

        All randomness comes from `draws`, which depends on (seed, step) alone. A loss is a mean over samples, so that
        its gradient is the mean of those of equal parts of the batch. Such parts may be asked for on shallow copies of
        the objective, one a part, in the order of `trained`.
        """

    def updates(self, network: str, step: int) -> bool:
        """Whether `network` learns in `step`; one that does not is left as it is, and its losses are not computed."""
        return True

    def after_step(self, step: int) -> None:  # noqa: B027  (an optional hook)
        """Called once all networks have been updated."""
