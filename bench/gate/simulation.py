"""A world in which the gate can be wrong: machines that drift and have spikes, images that broke or were drawn anew.

Only measurements are made up; what judges them is the code that judges real ones.

Latency. A visit's time is the side's own times a level that wanders, swings and jumps when a neighbour comes or goes,
times noise whose tail is so heavy that it has no variance, times what its process happens to be slower by. Another
machine is faster or slower by 26 %, what was seen between virtual machines of one kind.

Quality. Features and scores of real images of one method, `FeatureBank`. A gate draws its prompts from them. Between
equal sides an image may be the same to the last bit, move by rounding, or (for a share of prompts) be drawn anew, as
where sampling is not deterministic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.errors import UsageError
from bench.gate.arrays import Array
from bench.gate.latency import DENOISER, TOTAL, Pair
from bench.gate.quality import Paired, compare
from bench.gate.turns import PAIRS
from bench.gate.verdicts import Check
from bench.metrics.frechet_distance import frechet_pseudo_values
from bench.metrics.moments import Gaussian, gaussian
from bench.record import Quantity

BETWEEN_MACHINES = 0.26
PROCESS = 0.009
"""What a process happens to be slower or faster by, as a logarithm: two of one code were 0.0126 apart (root mean square
of 20 A/A rounds) on a virtual machine of two cores."""
ODD, ODD_BY = 0.03, 0.08
"""The share of processes that are off by far more for as long as they live, and by how much: 14, 8 and 6 % were
seen."""
NOISE = 0.01
WANDER = 0.003
SWING = 0.03
JUMP = 0.10
SPIKED = 0.05
TAIL = 1.5
"""Of the Pareto distribution of spikes: below 2 it has no variance."""

_SECONDS, _DENOISER_SHARE = 0.02, 0.5
_REDRAWN = (0.0, 0.0, 0.05, 0.3)
"""Shares of prompts whose image is drawn anew between equal sides; one is picked for each gate."""


@dataclass(frozen=True)
class FeatureBank:
    """Images as judges see them: features (N, D) and scores (N,), of what was made and of the same images broken."""

    features: Array
    broken: Array
    scores: Array
    broken_scores: Array
    reference: Gaussian

    def save(self, path: Path) -> None:
        """As one .npz file, arrays only."""
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            path, features=self.features, broken=self.broken, scores=self.scores, broken_scores=self.broken_scores,
            mean=self.reference.mean, covariance=self.reference.covariance, n=np.asarray(self.reference.n),
        )  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> FeatureBank:
        """Read what `save` wrote.

        Raises:
            UsageError: where the file is something else.
        """
        try:
            with np.load(path, allow_pickle=False) as data:
                reference = Gaussian(data["mean"], data["covariance"], int(data["n"]))
                return cls(data["features"], data["broken"], data["scores"], data["broken_scores"], reference)
        except (OSError, ValueError, KeyError) as error:
            raise UsageError(f"{path} holds no images for the self-test ({error}); delete it") from error


class Machine:
    """One machine for the time of one gate.

    Args:
        rng: draws everything.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self._level = math.exp(BETWEEN_MACHINES * rng.standard_normal())
        self._walk, self._visits, self._jumped = 0.0, 0, 0
        self._period, self._phase = rng.uniform(20, 400), rng.uniform(0, 2 * math.pi)

    def round(self, slower: Mapping[str, float], pairs: int = PAIRS) -> list[Pair]:
        """The pairs of one cell in one round of fresh processes, head `slower` by stage."""
        rng = self.rng
        levels = self._levels(2 * pairs).reshape(pairs, 2)
        levels = np.where(rng.random((pairs, 1)) < 0.5, levels, levels[:, ::-1])  # which side goes first
        odd = ODD_BY * rng.standard_normal(2) * (rng.random(2) < ODD)
        levels = levels * np.exp(PROCESS * rng.standard_normal(2) + odd)
        denoiser = _SECONDS * _DENOISER_SHARE * levels * self._noise(levels.shape)
        total = denoiser + _SECONDS * (1 - _DENOISER_SHARE) * levels * self._noise(levels.shape)
        lost = denoiser[:, 1] * (slower.get(DENOISER, 1.0) - 1)
        denoiser[:, 1] = (denoiser[:, 1] + lost) * slower.get(TOTAL, 1.0)
        total[:, 1] = (total[:, 1] + lost) * slower.get(TOTAL, 1.0)
        return [
            Pair(*({TOTAL: float(all_), DENOISER: float(part)} for all_, part in zip(*sides, strict=True)))
            for sides in zip(total, denoiser, strict=True)
        ]

    def _levels(self, visits: int) -> Array:
        """How slow the machine is at each of the next visits."""
        rng = self.rng
        walk = self._walk + np.cumsum(WANDER * rng.standard_normal(visits))
        jumped = (self._jumped + np.cumsum(rng.random(visits) < 0.01)) % 2
        place = self._visits + np.arange(visits)
        self._walk, self._jumped, self._visits = float(walk[-1]), int(jumped[-1]), self._visits + visits
        swing = SWING * np.sin(2 * np.pi * place / self._period + self._phase)
        levels: Array = self._level * np.exp(walk + swing + JUMP * jumped)
        return levels

    def _noise(self, shape: tuple[int, ...]) -> Array:
        spikes = 0.1 * self.rng.pareto(TAIL, shape) * (self.rng.random(shape) < SPIKED)
        noise: Array = np.exp(NOISE * self.rng.standard_normal(shape)) * (1 + spikes)
        return noise


def quality(bank: FeatureBank, rng: np.random.Generator, cell: str, images: int, broken: float = 0.0) -> list[Check]:
    """The checks of one cell of which a share `broken` of head's images, to the image, broke.

    Raises:
        ValueError: for a bank of fewer images than are drawn.
    """
    if images > len(bank.features):
        raise ValueError(f"{images} images from a bank of {len(bank.features)}")
    order = rng.permutation(len(bank.features))
    drawn, others = order[:images], order[images:]
    head = drawn.copy()
    anew = np.flatnonzero(rng.random(images) < rng.choice(_REDRAWN))[: len(others)]
    head[anew] = others[: len(anew)]
    broke = rng.permutation(images) < round(broken * images)
    rounding = 1e-4 * rng.standard_normal((images, 1)) * (rng.random() < 0.5)
    features = np.where(broke[:, None], bank.broken[head], bank.features[head]) * (1 + rounding)
    scores = np.where(broke, bank.broken_scores[head], bank.scores[head]) * (1 + rounding[:, 0])
    distances = [frechet_pseudo_values(rows, reference=bank.reference) for rows in (bank.features[drawn], features)]
    return [
        compare(cell, _quantity("fd-shapes", images, better_high=False), Paired(distances[0], distances[1])),
        compare(cell, _quantity("clip-shapes", images, better_high=True), Paired(bank.scores[drawn], scores)),
    ]


def synthetic_bank(rng: np.random.Generator, images: int = 1200, width: int = 12) -> FeatureBank:
    """A bank without any image: features of heavy tails about several centres, broken ones away from all of them."""
    centres = 2.0 * rng.standard_normal((6, width))

    def drawn(count: int) -> Array:
        noise: Array = rng.standard_t(5, (count, width))
        return centres[rng.integers(6, size=count)] + noise

    features = 0.95 * drawn(images) + 0.2
    scores = 75 + 6 * rng.standard_t(4, images)
    return FeatureBank(
        features,
        5.0 + rng.standard_normal((images, width)),
        scores,
        scores - 30 + 5 * rng.standard_normal(images),
        gaussian(drawn(10_000)),
    )


def _quantity(name: str, n: int, *, better_high: bool) -> Quantity:
    return Quantity(name, 0.0, 0.0, 0.0, n, "", better_high, {})
