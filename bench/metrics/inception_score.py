"""The Inception score and what each image adds to it, in float64.

Salimans et al. 2016, arXiv 1606.03498, section 4: exp of the mean Kullback-Leibler divergence of an image's class
probabilities p(y|x) from their mean over all images p(y). Over all images at once: ten splits, as in the paper, make
each a tenth of the size, and the score is biased downwards by an amount that falls as 1/n.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import rel_entr

from bench.metrics.moments import checked_features
from bench.metrics.statistics import CONFIDENCE, Array, Estimate, mean_interval

TOLERANCE = 1e-3
"""By how much probabilities may miss a sum of one: half precision."""


def divergences(probabilities: Array, mean: Array | None = None) -> Array:
    """(N,): Kullback-Leibler divergence of each row from the mean row, of class probabilities (N, C).

    `mean` is that of all rows, where these are some of them.

    The mean row depends on every image, but not to first order: it is where the mean divergence is smallest. So these
    are the influence of each image on the logarithm of the score, and their mean is that logarithm.

    Raises:
        ValueError: for rows that are no probabilities.
    """
    rows = checked_features(probabilities)
    if (rows < 0).any() or np.abs(rows.sum(axis=1) - 1).max() > TOLERANCE:
        raise ValueError("class probabilities must be at least 0 and sum to 1; apply a softmax to logits")
    found: Array = rel_entr(rows, rows.mean(axis=0) if mean is None else mean).sum(axis=1)
    return found


def inception_pseudo_values(found: Array) -> Array:
    """(N,): one number an image whose mean is the Inception score, from the divergences (N,)."""
    values: Array = math.exp(found.mean()) * (1 + found - found.mean())
    return values


def inception_interval(found: Array, confidence: float = CONFIDENCE, clusters: ArrayLike | None = None) -> Estimate:
    """The Inception score of divergences (N,) with its interval, for the score expected at this n.

    It is taken on the scale of the logarithm.
    """
    log = mean_interval(found, confidence, clusters=clusters)
    return Estimate(math.exp(log.value), math.exp(log.low), math.exp(log.high), log.n)
