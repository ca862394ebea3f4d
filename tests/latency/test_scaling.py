"""The line over the steps and the crossing, on latencies with a known line."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.latency import scaling
from bench.latency.scaling import calls_by_steps, crossing, fit
from bench.record import Cell, Record

REPETITIONS = 150
BAND = 3.5 * math.sqrt(0.95 * 0.05 / REPETITIONS)
STEPS = (1, 2, 4, 8)


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "RESAMPLES", 299)


def calls(a: float, b: float, *, noise: float = 0.0, n: int = 20, seed: int = 0) -> dict[int, list[float]]:
    """Calls at each step count whose median is a + b * steps; the noise is skewed and grows with the time."""
    rng = np.random.default_rng(seed)
    return {steps: ((a + b * steps) * np.exp(noise * rng.normal(size=n))).tolist() for steps in STEPS}


def test_a_line_without_noise_is_found() -> None:
    line = fit(calls(0.08, 0.005))
    # float64, one division: errors of some 1e-16 times the condition of two points
    assert line.intercept_s == pytest.approx((0.08, 0.08, 0.08), rel=1e-12)
    assert line.slope_s == pytest.approx((0.005, 0.005, 0.005), rel=1e-12)
    assert line.misfit < 1e-12
    assert line.steps == STEPS


def test_one_call_at_each_of_two_step_counts_is_enough() -> None:
    line = fit({1: [0.085], 4: [0.100]})
    assert line.intercept_s == pytest.approx((0.080, 0.080, 0.080), rel=1e-12)
    assert line.slope_s[0] == pytest.approx(0.005, rel=1e-12)


def test_what_is_no_line_is_seen() -> None:
    bent = calls(0.08, 0.005) | {2: [0.2] * 20}
    assert fit(bent).misfit > 0.2


def test_intervals_cover() -> None:
    lines = [fit(calls(0.08, 0.005, noise=0.05, seed=seed)) for seed in range(REPETITIONS)]
    # medians of 20 calls are few for a bootstrap: 3 points beside the band
    for truth, found in ((0.08, [x.intercept_s for x in lines]), (0.005, [x.slope_s for x in lines])):
        covered = float(np.mean([low <= truth <= high for _, low, high in found]))
        assert abs(covered - 0.95) < 0.03 + BAND


def test_two_methods_cross_where_their_lines_do() -> None:
    found = crossing(calls(0.05, 0.010, noise=0.01), calls(0.08, 0.005, noise=0.01, seed=1))
    assert found.steps is not None
    value, low, high = found.steps
    assert low < 6 < high  # 0.05 + 0.010 n = 0.08 + 0.005 n
    assert low < value < high
    assert found.cheaper_before == 0
    assert crossing(calls(0.08, 0.005), calls(0.05, 0.010)).cheaper_before == 1


def test_lines_that_do_not_cross_say_why() -> None:
    dearer = crossing(calls(0.08, 0.010), calls(0.05, 0.005))
    assert (dearer.steps, dearer.cheaper_before) == (None, 1)
    assert dearer.reason == "their lines do not cross at one step or more"
    apart = crossing(calls(0.08, 0.005, noise=0.02), calls(0.05, 0.005, noise=0.02, seed=1))
    assert (apart.steps, apart.cheaper_before) == (None, 1)
    assert "a step costs the same" in apart.reason
    same = crossing(calls(0.08, 0.005, noise=0.05), calls(0.08, 0.005, noise=0.05, seed=1))
    assert (same.steps, same.cheaper_before) == (None, None)


def test_slopes_that_cannot_be_told_apart_do_not_make_latencies_equal() -> None:
    """One unquiet step count leaves intercept and slope open, not which method takes less time at the others."""
    noisy = {1: [0.019, 0.020, 0.021, 0.027, 0.029, 0.033] * 2, 2: [0.0290] * 12, 4: [0.0458] * 12}
    quiet = {1: [0.0189] * 12, 2: [0.0259] * 12, 4: [0.0359] * 12}
    line, other = fit(noisy), fit(quiet)
    assert line.slope_s[1] < other.slope_s[0] < line.slope_s[2]
    found = crossing(noisy, quiet)
    assert (found.steps, found.cheaper_before) == (None, 1)
    turned = crossing(quiet, noisy)
    assert (turned.steps, turned.cheaper_before) == (None, 0)
    equal = crossing(noisy, {steps: values[::-1] for steps, values in noisy.items()})
    assert "they cost the same" in equal.reason


@pytest.mark.parametrize("bad", [{}, {1: [0.1]}, {1: [0.1], 2: []}, {1: [0.1], 2: [0.0]}, {1: [0.1], 2: [math.nan]}])
def test_what_no_line_can_go_through_is_refused(bad: dict[int, list[float]]) -> None:
    with pytest.raises(ValueError, match=r"two step counts|no samples|not positive|not finite"):
        fit(bad)


def test_calls_come_from_records() -> None:
    def record(steps: int, status: str, samples: tuple[float, ...]) -> Record:
        cell = Cell("toy", "add", steps, None, 0, 1, "cpu", "float32", 1)
        return Record(cell, status, None, (), {}, {"latency_s": samples}, {})  # type: ignore[arg-type]

    found = calls_by_steps([record(4, "ok", (0.2,)), record(1, "ok", (0.1, 0.1)), record(2, "failed", ())])
    assert found == {1: (0.1, 0.1), 4: (0.2,)}
    assert list(found) == [1, 4]
