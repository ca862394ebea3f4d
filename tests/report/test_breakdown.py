"""Scores by kind of prompt: shares and means of exactly the prompts of each kind."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest, norm

from bench.report.breakdown import breakdown, parts, wilson
from bench.report.frame import Group, groups
from bench.report.sheets import StoredPrompt
from bench.report.tables import breakdown_csv
from tests.report.conftest import quantity, record

KINDS = ["one", "two"] * 20
PROMPTS = tuple(StoredPrompt(f"{place:05d}", f"prompt {place}", kind) for place, kind in enumerate(KINDS))
EXACT = tuple(100.0 if kind == "one" and place < 30 else 0.0 for place, kind in enumerate(KINDS))  # 15 of 20, 0 of 20
CLIP = tuple(float(place) for place in range(40))


@pytest.fixture
def group() -> Group:
    per_image = {"attributes": EXACT, "clip-shapes": CLIP, "fd-shapes": (1000.0,) * 40}
    scores = (
        quantity("attributes", sum(EXACT) / 40, higher=True, unit="%"),
        quantity("clip-shapes", 19.5, higher=True),
        quantity("fd-shapes", 10.0),
    )
    (made,) = groups([record(quantities=scores, per_image=per_image)])
    return made


def test_each_kind_has_the_mean_and_interval_of_its_own_prompts(group: Group) -> None:
    by = {(part.quantity, part.category): part for part in parts(group, PROMPTS)}
    one, two = by["attributes", "one"], by["attributes", "two"]
    assert (one.value, one.n, two.value, two.n) == (75.0, 20, 0.0, 20)
    z = norm.ppf(0.975)  # Wilson's interval, in closed form
    centre, half = (0.75 + z**2 / 40) / (1 + z**2 / 20), z * (0.75 * 0.25 / 20 + z**2 / 1600) ** 0.5 / (1 + z**2 / 20)
    assert (one.low, one.high) == pytest.approx((100 * (centre - half), 100 * (centre + half)))
    assert two.high > 0
    assert by["clip-shapes", "one"].value == sum(range(0, 40, 2)) / 20


def test_a_distance_between_sets_is_not_broken_down(group: Group) -> None:
    assert {part.quantity for part in parts(group, PROMPTS)} == {"attributes", "clip-shapes"}


def test_the_table_and_the_csv_hold_what_was_found(group: Group) -> None:
    table = breakdown(group, PROMPTS)
    assert table is not None
    assert table.heads == ("one (n = 20)", "two (n = 20)")
    ((method, steps, texts, name),) = table.rows
    assert (method, steps, name) == ("add", 1, group.measured[0].cell.name)
    assert texts[0].startswith("75.0 [")
    assert len(breakdown_csv([group], PROMPTS).splitlines()) == 1 + 2 * 2


@pytest.mark.parametrize("prompts", [(), PROMPTS[::2], PROMPTS[:30]], ids=["none", "one kind", "too few"])
def test_nothing_to_break_down_is_no_table(group: Group, prompts: tuple[StoredPrompt, ...]) -> None:
    assert breakdown(group, prompts) is None


def test_shares_have_the_interval_of_scipy() -> None:
    for hits, n in [(0, 5), (5, 5), (1, 3), (17, 40), (999, 1000)]:
        expected = binomtest(hits, n).proportion_ci(method="wilson")
        assert wilson(hits, n) == pytest.approx((expected.low, expected.high), rel=1e-12)  # rounding of float64
