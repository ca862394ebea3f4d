"""Verdicts and exit codes are closed sets; alarms are corrected over all cells, passes are not."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from bench.gate.decide import ALPHA, BETA, decide, holm, undecided
from bench.gate.verdicts import EXIT_CODES, PRECEDENCE, Verdict, overall
from tests.gate.worlds import check


def test_exit_codes_are_those_promised() -> None:
    assert {str(verdict): code for verdict, code in EXIT_CODES.items()} == {
        "PASS": 0, "REGRESSION": 1, "INCONCLUSIVE": 3, "CALIBRATION_NEEDED": 4, "RECIPE_MISMATCH": 5,
    }  # fmt: skip
    assert set(EXIT_CODES) == set(Verdict) == set(PRECEDENCE)


def test_of_several_verdicts_the_first_in_order_counts() -> None:
    order = ["RECIPE_MISMATCH", "CALIBRATION_NEEDED", "REGRESSION", "INCONCLUSIVE", "PASS"]
    for one, other in product(order, repeat=2):
        assert overall([Verdict(one), Verdict(other)]) == order[min(order.index(one), order.index(other))]


def test_a_gate_that_checked_nothing_has_not_passed() -> None:
    assert overall([]) is Verdict.INCONCLUSIVE


def test_holm_is_statsmodels() -> None:
    rng = np.random.default_rng(0)
    for size in (1, 2, 7, 30):
        p = rng.random(size) ** 3
        np.testing.assert_allclose(holm(list(p)), multipletests(p, method="holm")[1], rtol=1e-12)


def test_an_alarm_needs_to_be_significant_over_all_cells_and_beyond_the_margin() -> None:
    bad = check(p_worse=ALPHA / 3, beyond=True)
    assert decide([bad])[0].verdict is Verdict.REGRESSION
    assert decide([bad, *[check()] * 5])[0].verdict is Verdict.INCONCLUSIVE, "six tests, a sixth of the error each"
    within = check(p_worse=1e-9, beyond=False)
    assert decide([within])[0].verdict is Verdict.INCONCLUSIVE, "worse for sure, but by less than the margin so far"


def test_a_pass_is_tested_by_itself() -> None:
    fine = check(p_fine=BETA)
    assert [item.verdict for item in decide([fine] * 20)] == [Verdict.PASS] * 20
    assert decide([check(p_fine=BETA * 1.01)])[0].verdict is Verdict.INCONCLUSIVE


def test_what_is_worse_for_sure_but_within_the_margin_for_sure_passes() -> None:
    assert decide([check(p_worse=1e-12, p_fine=1e-12, beyond=False)])[0].verdict is Verdict.PASS


def test_better_than_possible_is_another_recipe() -> None:
    found = decide([check(p_better=1e-9, p_fine=1e-9)])[0]
    assert found.verdict is Verdict.RECIPE_MISMATCH
    assert "--expect-better" in found.note


def test_what_is_only_reported_has_no_verdict_and_costs_no_error() -> None:
    shown = check(kind="latency", p_worse=1e-12, beyond=True, gated=False)
    bad = check(p_worse=ALPHA, beyond=True)
    assert [item.verdict for item in decide([*[shown] * 9, bad])] == [None] * 9 + [Verdict.REGRESSION]


@pytest.mark.parametrize(
    ("verdicts", "more"),
    [((Verdict.INCONCLUSIVE,), True), ((Verdict.PASS,), False), ((Verdict.REGRESSION, Verdict.INCONCLUSIVE), False)],
)
def test_more_rounds_only_while_undecided(verdicts: tuple[Verdict, ...], more: bool) -> None:
    assert undecided([check(kind="latency", verdict=verdict) for verdict in verdicts]) is more
    assert not undecided([check(kind="quality", verdict=Verdict.INCONCLUSIVE)]), "rounds decide no quality"
