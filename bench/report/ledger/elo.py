"""Ratings from votes: Elo as the paper computes it, and Bradley-Terry with intervals.

Elo (appendix B.2 of arXiv 2311.17042): from 1000, after each vote `R += K (S - E)` with K = 1 and
`E = 1 / (1 + 10^((R_other - R) / 400))`, replayed in 1000 shuffled orders and averaged. With K = 1 and as many votes as
the paper has, a rating has not settled, so ratings from other numbers of votes do not compare.

Bradley-Terry (1952): `logit P(i beats j) = theta_i - theta_j`, fitted by maximum likelihood with a tie as half a win of
each. It has no order and no K, and an interval: the sandwich over prompts, since one prompt votes on every pair. On
Elo's scale a unit of theta is 400 / ln 10 points.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Pair = tuple[int, int]

POINTS = 400 / math.log(10)
_Z = 1.959964
_BLOCK = 100
_STEPS = 100
_ENDLESS = 15.0  # log odds that no number of votes in use gives: they grow without end


@dataclass(frozen=True)
class Strengths:
    """Bradley-Terry ratings on Elo's scale with their mean at `start`, and their covariance."""

    ratings: Array
    covariance: Array

    def interval(self, model: int) -> tuple[float, float]:
        """The 95 % interval of a rating."""
        half = _Z * math.sqrt(max(0.0, float(self.covariance[model, model])))
        return float(self.ratings[model]) - half, float(self.ratings[model]) + half

    def difference(self, one: int, other: int) -> tuple[float, float, float]:
        """The difference of two ratings with its 95 % interval."""
        spread = self.covariance[one, one] + self.covariance[other, other] - 2 * self.covariance[one, other]
        half = _Z * math.sqrt(max(0.0, float(spread)))
        value = float(self.ratings[one] - self.ratings[other])
        return value, value - half, value + half


def elo(
    votes: Mapping[Pair, Array], models: int, *, replays: int, k: float = 1.0, start: float = 1000.0, seed: int = 0
) -> Array:
    """(models,) Elo ratings, the mean over `replays` shuffled orders.

    Args:
        votes: (i, j) -> one score a vote, 1 where i wins, 0 where j does, 0.5 for a tie.
        models: how many there are.
        replays: how many orders.
        k: how far one vote moves a rating at most.
        start: of every rating.
        seed: of the orders.
    """
    first = np.concatenate([np.full(len(scores), i) for (i, _), scores in votes.items()])
    second = np.concatenate([np.full(len(scores), j) for (_, j), scores in votes.items()])
    outcome = np.concatenate(list(votes.values()))
    rng, total = np.random.default_rng(seed), np.zeros(models)
    for begin in range(0, replays, _BLOCK):
        count = min(_BLOCK, replays - begin)
        orders = rng.permuted(np.tile(np.arange(len(outcome)), (count, 1)), axis=1).T
        total += _replayed(orders, first, second, outcome, models, k, start).sum(axis=0)
    ratings: Array = total / replays
    return ratings


def _replayed(
    orders: NDArray[np.int64],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    outcome: Array,
    models: int,
    k: float,
    start: float,
) -> Array:
    """(replays, models): the ratings after all votes, in each order (votes, replays)."""
    ratings = np.full((orders.shape[1], models), start)
    rows = np.arange(orders.shape[1])
    for vote in orders:
        i, j = first[vote], second[vote]
        expected = 1 / (1 + np.exp((ratings[rows, j] - ratings[rows, i]) / POINTS))
        gain = k * (outcome[vote] - expected)
        ratings[rows, i] += gain
        ratings[rows, j] -= gain
    return ratings


def bradley_terry(votes: Mapping[Pair, Array], models: int, *, start: float = 1000.0) -> Strengths | None:
    """Ratings by maximum likelihood; None where they are not finite, because some models never lose to the others.

    Args:
        votes: (i, j) -> (prompts,) as in `elo`, prompt p of every pair being the same prompt.
        models: how many there are.
        start: the mean of the ratings.
    """
    pairs, table = _table(votes)
    design = np.zeros((len(pairs), models))
    for row, (i, j) in enumerate(pairs):
        design[row, i], design[row, j] = 1.0, -1.0
    wins, n = np.nansum(table, axis=0), (~np.isnan(table)).sum(axis=0)
    theta = _fit(design, wins, n.astype(np.float64))
    if theta is None:
        return None
    chance = _logistic(design @ theta)
    information = design.T @ (design * (n * chance * (1 - chance))[:, None])
    bread = np.linalg.pinv(information)  # singular along adding a constant, which no difference sees
    scores = np.nan_to_num(table - chance) @ design  # (prompts, models)
    prompts = len(scores)
    meat = scores.T @ scores * prompts / max(prompts - 1, 1)
    covariance: Array = POINTS**2 * (bread @ meat @ bread)
    return Strengths(start + POINTS * (theta - theta.mean()), covariance)


def mean_strengths(found: Sequence[Strengths]) -> Strengths:
    """The mean of two questions' ratings.

    Both are answered on the same prompts, so their errors may go together. The mean of the two covariances covers the
    mean rating whatever they have in common, since var((a + b) / 2) <= (var a + var b) / 2.
    """
    ratings: Array = np.mean([item.ratings for item in found], axis=0)
    covariance: Array = np.mean([item.covariance for item in found], axis=0)
    return Strengths(ratings, covariance)


def _table(votes: Mapping[Pair, Array]) -> tuple[list[Pair], Array]:
    """The pairs, and (prompts, pairs) votes with NaN where a pair has fewer prompts."""
    pairs = list(votes)
    table = np.full((max(len(scores) for scores in votes.values()), len(pairs)), np.nan)
    for column, pair in enumerate(pairs):
        table[: len(votes[pair]), column] = votes[pair]
    return pairs, table


def _fit(design: Array, wins: Array, n: Array) -> Array | None:
    """Newton's method; None where the likelihood has no maximum."""
    theta = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        fitted = design @ theta
        if np.abs(fitted).max() > _ENDLESS:
            return None
        chance = _logistic(fitted)
        gradient = design.T @ (wins - n * chance)
        step = np.linalg.pinv(design.T @ (design * (n * chance * (1 - chance))[:, None])) @ gradient
        theta = theta + np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 1e-10:
            return theta
    return None


def _logistic(x: Array) -> Array:
    found: Array = 1 / (1 + np.exp(-x))
    return found
