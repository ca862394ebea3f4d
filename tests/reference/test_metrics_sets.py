"""Precision and recall, Inception score and CMMD against other packages and closed forms, on the same features."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from bench.metrics.distances import GaussianKernel, cmmd_pseudo_values, kernel_pseudo_values, mean_self_kernel
from bench.metrics.inception_score import divergences, inception_pseudo_values
from bench.metrics.neighbours import PRECISION_NEIGHBOURS, overlap


@pytest.mark.parametrize("save_cpu_ram", [False, True])
def test_torch_fidelity_agrees_on_precision_and_recall(save_cpu_ram: bool) -> None:
    prc = pytest.importorskip("torch_fidelity.metric_prc")
    rng = np.random.default_rng(0)
    generated, reference = 0.8 * rng.normal(size=(120, 6)) + 0.5, rng.normal(size=(150, 6))
    theirs = prc.prc_features_to_metric(
        torch.from_numpy(generated), torch.from_numpy(reference),
        prc_neighborhood=PRECISION_NEIGHBOURS, prc_batch_size=64, save_cpu_ram=save_cpu_ram, verbose=False,
    )  # fmt: skip
    ours = overlap(generated, reference=reference, neighbours=PRECISION_NEIGHBOURS)
    assert ours.precision.mean() == pytest.approx(theirs["precision"], abs=1e-6)  # theirs are means in float32
    assert ours.recall.mean() == pytest.approx(theirs["recall"], abs=1e-6)
    assert abs(theirs["precision"] - theirs["recall"]) > 0.02  # so that they are not swapped


def test_torch_fidelity_agrees_on_the_inception_score_of_one_split() -> None:
    isc = pytest.importorskip("torch_fidelity.metric_isc")
    logits = 3 * np.random.default_rng(0).normal(size=(90, 12))
    theirs = isc.isc_features_to_metric(torch.from_numpy(logits), splits=1, shuffle=False)
    powers = np.exp(logits)
    ours = inception_pseudo_values(divergences(powers / powers.sum(axis=1, keepdims=True))).mean()
    assert ours == pytest.approx(theirs["inception_score_mean"], rel=1e-12)


def test_cmmd_by_its_formula() -> None:
    """Equation 5 of Gretton et al. on rows of unit length, sigma 10, times 1000, with the whole matrices."""
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(40, 16)) + 0.5, 3 * rng.normal(size=(50, 16))
    one, other = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (first, second))
    kernels = [np.exp(-cdist(a, b, "sqeuclidean") / 200) for a, b in ((one, one), (other, other), (one, other))]
    expected = 1000 * (kernels[0].mean() + kernels[1].mean() - 2 * kernels[2].mean())
    assert cmmd_pseudo_values(first, reference=second).mean() == pytest.approx(expected, rel=1e-9)
    assert cmmd_pseudo_values(2 * first, reference=second).mean() == pytest.approx(expected, rel=1e-9)
    with pytest.raises(ValueError, match="length zero"):
        cmmd_pseudo_values(0 * first, reference=second)


def test_the_gaussian_kernel_distance_of_two_gaussians() -> None:
    """E k(x, y) = (s^2 / w)^(d/2) exp(-|m - n|^2 / 2w), w = s^2 + a^2 + b^2, for N(m, a^2 I) and N(n, b^2 I)."""
    rng, width, sigma = np.random.default_rng(2), 3, 1.5

    def expected(a: float, b: float, apart: float) -> float:
        whole = sigma**2 + a**2 + b**2
        return float((sigma**2 / whole) ** (width / 2) * np.exp(-width * apart**2 / (2 * whole)))

    truth = expected(1.3, 1.3, 0) + expected(1, 1, 0) - 2 * expected(1.3, 1, 0.4)
    kernel, found = GaussianKernel(sigma), []
    for _ in range(80):
        generated, reference = 1.3 * rng.normal(size=(150, width)) + 0.4, rng.normal(size=(150, width))
        own = mean_self_kernel(reference, kernel)
        found.append(kernel_pseudo_values(generated, reference=reference, reference_self=own, kernel=kernel).mean())
    assert np.mean(found) == pytest.approx(truth, abs=3.5 * np.std(found) / np.sqrt(80))
    assert 3.5 * np.std(found) / np.sqrt(80) < 0.15 * truth
