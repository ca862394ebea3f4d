"""Simulations on data with a known answer: how often an interval covers, and how often equals are called different.

One draw of a case gives an interval and the numbers of two methods with the same distribution, which share part of
their noise as two methods do that start from the same seeds. The truth is a closed form where there is one; elsewhere
it is the mean of all draws, which is off by 1 / sqrt(draws) of a draw's spread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.metrics.distances import (
    Gaussian,
    GaussianKernel,
    frechet_infinity,
    frechet_interval,
    frechet_pseudo_values,
    kernel_pseudo_values,
    mean_self_kernel,
)
from bench.metrics.inception_score import divergences, inception_interval, inception_pseudo_values
from bench.metrics.neighbours import overlap
from bench.metrics.statistics import (
    Array,
    Estimate,
    bootstrap_interval,
    mean_interval,
    paired_difference,
    share_interval,
)

Pair = tuple[Array, Array]


@dataclass(frozen=True)
class Draw:
    """An interval, and one number an image under each of two methods of equal distribution."""

    interval: Estimate
    one: Array
    other: Array
    clusters: Array | None = None


@dataclass(frozen=True)
class Case:
    """`truth` is None where it is the mean over all draws."""

    draw: Callable[[np.random.Generator], dict[str, Draw]]
    truth: dict[str, float]


@dataclass(frozen=True)
class Outcome:
    """Shares of the repetitions."""

    covered: float
    called_different: float
    mean: float
    truth: float


def study(case: Case, repetitions: int, seed: int = 0) -> dict[str, Outcome]:
    """Repeat a case."""
    rng = np.random.default_rng(seed)
    draws = [case.draw(rng) for _ in range(repetitions)]
    found = {}
    for name in draws[0]:
        here = [draw[name] for draw in draws]
        mean = float(np.mean([draw.interval.value for draw in here]))
        truth = case.truth.get(name, mean)
        covered = np.mean([draw.interval.low <= truth <= draw.interval.high for draw in here])
        found[name] = Outcome(float(covered), float(np.mean([_different(draw) for draw in here])), mean, truth)
    return found


def _different(draw: Draw) -> bool:
    pair = paired_difference(candidate=draw.one, baseline=draw.other, clusters=draw.clusters)
    return not pair.low <= 0 <= pair.high


def noise(rng: np.random.Generator, n: int, width: int, shared: float = 0.6) -> Pair:
    """Two standard normal sets (n, width) with correlation `shared`."""
    first = rng.normal(size=(n, width))
    return first, shared * first + np.sqrt(1 - shared**2) * rng.normal(size=(n, width))


def scores(n: int = 200) -> Case:
    """A score of single images: normal, skewed, and a share, each with what the prompt does to both methods."""

    def draw(rng: np.random.Generator) -> dict[str, Draw]:
        normal = [part[:, 0] for part in noise(rng, n, 1)]
        skewed = [np.exp(0.5 * part[:, 0]) for part in noise(rng, n, 1)]
        hits = [(part[:, 0] < 0.8416).astype(float) for part in noise(rng, n, 1)]
        return {
            "normal": Draw(bootstrap_interval(normal[0], rng), *normal),
            "skewed": Draw(bootstrap_interval(skewed[0], rng), *skewed),
            "share": Draw(share_interval(float(hits[0].sum()), n), *hits),
        }

    return Case(draw, {"normal": 0.0, "skewed": float(np.exp(0.125)), "share": 0.8})


def clustered_scores(prompts: int = 60, images: int = 4) -> Case:
    """Several images a prompt: half of the variance is the prompt's."""
    clusters = np.repeat(np.arange(prompts), images)

    def draw(rng: np.random.Generator) -> dict[str, Draw]:
        prompt = [np.repeat(part[:, 0], images) for part in noise(rng, prompts, 1)]
        one, other = (part + own[:, 0] for part, own in zip(prompt, noise(rng, prompts * images, 1), strict=True))
        return {
            "bootstrap": Draw(bootstrap_interval(one, rng, clusters=clusters), one, other, clusters),
            "student": Draw(mean_interval(one, clusters=clusters), one, other, clusters),
            "ignored": Draw(mean_interval(one), one, other),
        }

    return Case(draw, {"bootstrap": 0.0, "student": 0.0, "ignored": 0.0})


def frechet(n: int, width: int, scale: float, shift: float = 0.1, *, infinity: bool = False) -> Case:
    """N(shift, scale^2 I) against N(0, I), whose distance is width ((scale - 1)^2 + shift^2)."""
    reference = Gaussian(np.zeros(width), np.eye(width), 10**9)
    closed = width * ((scale - 1) ** 2 + shift**2)

    def draw(rng: np.random.Generator) -> dict[str, Draw]:
        one, other = (scale * part + shift for part in noise(rng, n, width))
        pseudo = [frechet_pseudo_values(part, reference=reference) for part in (one, other)]
        interval = frechet_interval(pseudo[0])
        found = {"frechet": Draw(interval, *pseudo)}
        if infinity:
            value, half = frechet_infinity(one, reference=reference, rng=rng), (interval.high - interval.low) / 2
            found["infinity"] = Draw(Estimate(value, value - half, value + half, n), *pseudo)
        return found

    return Case(draw, {"infinity": closed})


def frechet_bias(n: int, width: int, scale: float) -> float:
    """E[FD at n] less the closed form, to first order in 1 / n, of N(., scale^2 I) against N(0, I).

    Of the mean: width scale^2 / n. Of the root: Tr (s^2 (1 + e))^(1/2) loses s/8 E Tr e^2 with E Tr e^2 = d (d + 1) /
    (n - 1) for a Wishart matrix, twice.
    """
    return width * scale**2 / n + scale * width * (width + 1) / (4 * (n - 1))


def kernels(n: int = 500, width: int = 6, sigma: float = 2.0, scale: float = 1.2, shift: float = 0.2) -> Case:
    """N(shift, scale^2 I) against 300 fixed references; the Gaussian kernel's truth is a closed form."""
    reference = np.random.default_rng(99).normal(size=(300, width))
    kernel = GaussianKernel(sigma)
    own = {"kid": mean_self_kernel(reference), "gaussian": mean_self_kernel(reference, kernel)}
    wide, near = sigma**2 + 2 * scale**2, sigma**2 + scale**2
    to_itself = (sigma**2 / wide) ** (width / 2)
    squared = ((reference - shift) ** 2).sum(axis=1)
    to_reference = (sigma**2 / near) ** (width / 2) * np.exp(-squared / (2 * near)).mean()

    def draw(rng: np.random.Generator) -> dict[str, Draw]:
        sets = [scale * part + shift for part in noise(rng, n, width)]
        kid = [kernel_pseudo_values(x, reference=reference, reference_self=own["kid"]) for x in sets]
        smooth = [
            kernel_pseudo_values(x, reference=reference, reference_self=own["gaussian"], kernel=kernel) for x in sets
        ]
        return {"kid": Draw(mean_interval(kid[0]), *kid), "gaussian": Draw(mean_interval(smooth[0]), *smooth)}

    return Case(draw, {"gaussian": float(to_itself - 2 * to_reference + own["gaussian"])})


def neighbours(n: int = 300, m: int = 300, width: int = 16, scale: float = 1.1, shift: float = 0.1, k: int = 5) -> Case:
    """N(shift, scale^2 I) against m fixed references of N(0, I)."""
    reference = np.random.default_rng(98).normal(size=(m, width))

    def draw(rng: np.random.Generator) -> dict[str, Draw]:
        one, other = (overlap(scale * x + shift, reference=reference, neighbours=k) for x in noise(rng, n, width))
        pairs = {
            "precision": (one.precision, other.precision),
            "recall": (one.recall, other.recall),
            "density": (one.density, other.density),
            "coverage": (one.coverage, other.coverage),
        }
        found = {name: Draw(mean_interval(pair[0]), *pair) for name, pair in pairs.items()}
        wilson = share_interval(float(one.precision.sum()), n)
        return found | {"precision": Draw(wilson, one.precision, other.precision)}

    return Case(draw, {})


def inception(n: int = 300, classes: int = 10) -> Case:
    """Softmax of three times normal logits."""

    def draw(rng: np.random.Generator) -> dict[str, Draw]:
        powers = [np.exp(3 * part) for part in noise(rng, n, classes)]
        chances = [part / part.sum(axis=1, keepdims=True) for part in powers]
        found = [divergences(part) for part in chances]
        one, other = (inception_pseudo_values(part) for part in found)
        return {"inception": Draw(inception_interval(found[0]), one, other)}

    return Case(draw, {})
