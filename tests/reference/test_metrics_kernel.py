"""The kernel distance against clean-fid and torch-fidelity on the same features.

Both draw subsets; a subset as large as the sets is the whole set in another order, so the values agree to rounding.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cleanfid.fid import kernel_distance

from bench.metrics.distances import kernel_pseudo_values, mean_self_kernel
from bench.metrics.features import extract
from bench.metrics.kernel import KernelShapes
from bench.metrics.statistics import Array
from tests.metrics.tiny import RandomExtractor, context, feed, shapes

N, WIDTH = 90, 12
TOLERANCE = 1e-9  # of kernels of size 1 to 100, in float64


def two_sets() -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(N, WIDTH)) + 0.3, np.maximum(rng.normal(size=(N, WIDTH)), 0)


def ours(generated: Array, reference: Array) -> float:
    own = mean_self_kernel(reference)
    return float(kernel_pseudo_values(generated, reference=reference, reference_self=own).mean())


def test_clean_fid_agrees_on_the_full_set() -> None:
    generated, reference = two_sets()
    kept = np.random.get_state()  # noqa: NPY002
    value = kernel_distance(reference, generated, num_subsets=1, max_subset_size=N)
    np.random.set_state(kept)  # noqa: NPY002
    assert ours(generated, reference) == pytest.approx(value, abs=TOLERANCE)
    assert ours(generated + 0.01, reference) != pytest.approx(value, abs=TOLERANCE)


def test_torch_fidelity_agrees_on_the_full_set_and_on_a_subset() -> None:
    kid = pytest.importorskip("torch_fidelity.metric_kid")
    generated, reference = two_sets()
    options = {"kid_subsets": 1, "rng_seed": 3, "verbose": False}
    whole = kid.kid_features_to_metric(
        torch.from_numpy(generated), torch.from_numpy(reference), kid_subset_size=N, **options
    )
    assert ours(generated, reference) == pytest.approx(whole["kernel_inception_distance_mean"], abs=TOLERANCE)
    some = kid.kid_features_to_metric(
        torch.from_numpy(generated), torch.from_numpy(reference), kid_subset_size=40, **options
    )
    rng = np.random.RandomState(3)  # torch-fidelity's own choice, drawn again
    rows = [rng.choice(N, 40, replace=False) for _ in range(2)]
    subset = ours(generated[rows[0]], reference[rows[1]])
    assert subset == pytest.approx(some["kernel_inception_distance_mean"], abs=TOLERANCE)


def test_the_metric_is_a_thousand_times_the_distance() -> None:
    images = shapes(60)
    score = feed(KernelShapes(context()), images).compute()
    generated = extract(images, RandomExtractor()).double().numpy()
    reference = extract(shapes(300, start=5000), RandomExtractor()).double().numpy()
    assert score.unit == "1e-3"
    assert score.value == pytest.approx(1000 * ours(generated, reference), rel=1e-9)
