"""The paired test is SciPy's, and holds where machines drift; the unpaired one does not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, wilcoxon

from bench.gate.signed_rank import centre, p_above


@pytest.mark.parametrize("n", [5, 16, 48, 64, 90])
def test_p_values_are_scipys(n: int) -> None:
    data = np.random.default_rng(n).standard_normal(n) + 0.2
    exact = {"method": "exact"} if n <= 64 else {"method": "asymptotic", "correction": True}
    for bound in (-0.3, 0.0, 0.4):
        expected = wilcoxon(data - bound, alternative="greater", **exact).pvalue
        assert p_above(data, bound) == pytest.approx(expected, rel=1e-9)


def test_nothing_is_no_evidence() -> None:
    assert p_above(np.zeros(20), 0.0) == 1.0
    assert p_above(np.empty(0), 0.0) == 1.0
    with pytest.raises(ValueError, match="no differences"):
        centre(np.empty(0))


def test_the_centre_is_that_of_a_symmetric_distribution_whatever_its_tails() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        value, low, high = centre(0.05 + 0.01 * rng.standard_t(1.5, 32))
        assert low <= value <= high
        covered += low <= 0.05 <= high
    assert covered >= 271  # 95 % of 300, less four of its standard deviations


def drifting(rng: np.random.Generator, n: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Times of two equal sides visited in turn on a machine that gets slower by 20 %, with heavy tails."""
    level = np.linspace(0, 0.2, 2 * n).reshape(n, 2) + 0.01 * rng.standard_t(1.5, (n, 2))
    first = rng.random(n) < 0.5
    return np.where(first, level[:, 0], level[:, 1]), np.where(first, level[:, 1], level[:, 0])


def test_false_alarms_in_turn_are_as_many_as_said_and_one_after_the_other_every_time() -> None:
    rng = np.random.default_rng(1)
    in_turn = after = 0
    for _ in range(400):
        base, head = drifting(rng)
        in_turn += p_above(head - base, 0.0) <= 0.05
        times = np.sort(np.concatenate([base, head]))  # the same times, base first: the control that must fail
        after += mannwhitneyu(times[32:], times[:32], alternative="greater").pvalue <= 0.05
    assert in_turn <= 20 + 4 * 4.4  # 5 % of 400, and four standard deviations
    assert after == 400


def test_pairs_see_through_drift_what_an_unpaired_test_takes_for_noise() -> None:
    rng = np.random.default_rng(2)
    paired = unpaired = 0
    for _ in range(50):
        base, head = drifting(rng)
        paired += p_above(head + 0.03 - base, 0.0) <= 0.01
        unpaired += mannwhitneyu(head + 0.03, base, alternative="greater").pvalue <= 0.01
    assert paired >= 48 > 25 > unpaired
