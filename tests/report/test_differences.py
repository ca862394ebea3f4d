"""Paired differences: verdicts by Holm over a table, how many images would tell, protocols that differ are refused."""

from __future__ import annotations

import random

import numpy as np
import pytest
from scipy.stats import ttest_rel

from bench.clusters import Clustered
from bench.errors import RecordError
from bench.report.differences import MIN_PROMPTS, corrected, differences, pairs
from bench.report.display import columns


def scores(shift: float, seed: int, n: int = 400, own: float = 1.0) -> tuple[float, ...]:
    """What an image does to all methods, plus a small shift and noise of its own."""
    common, mine = random.Random(0), random.Random(seed)
    return tuple(common.gauss(50, 20) + shift + mine.gauss(0, own) for _ in range(n))


def methods(make, shifts: dict[str, float], *, higher: bool = True, n: int = 400, own: float = 1.0):
    return [
        make.record(
            name, 1, (make.quantity("score", 50 + shift, 2, higher=higher),), {"score": scores(shift, seed, n, own)}
        )
        for seed, (name, shift) in enumerate(shifts.items(), start=1)
    ]


def compared(records):
    return differences(pairs(records), columns(records))


def test_better_and_worse_follow_the_direction_of_the_score(make):
    for higher, verdict in ((True, "better"), (False, "worse")):
        records = methods(make, {"add": 1.0, "lcm": 0.0}, higher=higher)
        (found,) = compared(records)
        assert (found.one.cell.method, found.other.cell.method) == ("add", "lcm")
        assert found.verdict == verdict
        assert found.low < found.value < found.high
        assert found.low > 0


def test_the_p_value_is_that_of_scipys_paired_test(make):
    one, other = methods(make, {"add": 0.1, "lcm": 0.0})
    (found,) = compared([one, other])
    expected = ttest_rel(one.per_image["score"], other.per_image["score"]).pvalue
    assert found.p_value == found.p_holm == pytest.approx(expected)


def test_holm_by_hand(make):
    """p of 0.01, 0.02, 0.03 and 0.9 become 0.04, 0.06, 0.06 and 0.9; without a correction three would be told."""
    (one,) = compared(methods(make, {"add": 0.1, "lcm": 0.0}))
    from dataclasses import replace

    found = corrected([replace(one, p_value=p) for p in (0.03, 0.01, 0.9, 0.02)])
    assert [item.p_holm for item in found] == pytest.approx([0.06, 0.04, 0.9, 0.06])
    assert [item.verdict == "cannot tell" for item in found] == [True, False, True, True]
    assert corrected([]) == []


def test_a_table_of_equal_methods_calls_none_different(make, monkeypatch):
    """95 of 100 tables of six comparisons hold no verdict; without the correction about 1 in 5 would."""
    monkeypatch.setattr(Clustered, "bootstrap", lambda self, rng: (self.mean, self.mean))
    monkeypatch.setattr("gc.collect", lambda: 0)  # statsmodels calls it each time
    monkeypatch.setattr("bench.report.differences._images_to_tell", lambda item, alpha: None)
    tables, any_told, any_below = 300, 0, 0
    rng = np.random.default_rng(0)
    for _ in range(tables):
        common = rng.normal(size=40)
        records = [
            make.record(
                name, 1, (make.quantity("score", 0.0, higher=True),), {"score": tuple(common + rng.normal(size=40))}
            )
            for name in ("a", "b", "c", "d")
        ]
        found = compared(records)
        any_told += any(item.verdict != "cannot tell" for item in found)
        any_below += any(item.p_value < 0.05 for item in found)
    assert any_told / tables <= 0.065 + 3.5 * (0.065 * 0.935 / tables) ** 0.5
    assert any_below / tables > 0.12


def test_so_many_images_would_tell(make):
    """By simulation: with as many images as advised, four of five new draws tell a difference of that size."""
    noise = np.random.default_rng(1).normal(size=60)
    apart = 0.15 + (noise - noise.mean()) / noise.std(ddof=1)
    pair = [
        make.record(name, 1, (make.quantity("score", 0.0, higher=True),), {"score": tuple(values)})
        for name, values in (("add", apart), ("lcm", 0 * apart))
    ]
    (found,) = compared(pair)
    assert found.verdict == "cannot tell"
    spread = 1.0
    rng, n = np.random.default_rng(0), found.images_to_tell
    assert n > 60
    told = [abs(x.mean()) / (x.std(ddof=1) / n**0.5) > 1.96 for x in rng.normal(abs(found.value), spread, (400, n))]
    assert np.mean(told) == pytest.approx(0.8, abs=0.07)


def test_more_comparisons_need_more_images(make):
    records = methods(make, {"add": 0.1, "lcm": 0.0, "pd": 0.05}, n=100)
    alone = compared(records[:2])[0]
    beside = next(item for item in compared(records) if item.other.cell.method == "lcm")
    assert beside.value == alone.value
    assert beside.p_holm >= alone.p_holm
    assert beside.images_to_tell >= alone.images_to_tell


def test_equal_numbers_and_few_prompts_tell_nothing(make):
    same = methods(make, {"add": 0.0, "lcm": 0.0}, own=0.0)
    (found,) = compared(same)
    assert (found.value, found.verdict, found.images_to_tell, found.worth_saying) == (0.0, "cannot tell", None, False)
    (few,) = compared(methods(make, {"add": 9.0, "lcm": 0.0}, n=MIN_PROMPTS - 1))
    assert (few.verdict, few.p_value, few.images_to_tell) == ("cannot tell", 1.0, None)


def test_a_constant_difference_is_told(make):
    one, other = methods(make, {"add": 0.0, "lcm": 0.0}, own=0.0)
    shifted = make.record("add", 1, one.quantities, {"score": tuple(x + 1 for x in other.per_image["score"])})
    assert compared([shifted, other])[0].verdict == "better"


def test_several_images_of_a_prompt_are_one_draw(make):
    """The same numbers three times over are no more evidence than once."""
    once = methods(make, {"add": 0.1, "lcm": 0.0}, n=60)
    (alone,) = compared(once)
    thrice = [
        make.record(item.cell.method, 1, item.quantities, {"score": item.per_image["score"] * 3}) for item in once
    ]
    for item in thrice:
        object.__setattr__(item, "clusters", tuple(range(60)) * 3)
    (clustered,) = compared(thrice)
    assert clustered.p_value == pytest.approx(alone.p_value)
    assert (clustered.n, clustered.prompts) == (180, 60)
    assert clustered.images_to_tell == pytest.approx(3 * alone.images_to_tell, abs=3)


def test_protocols_that_differ_are_refused_with_the_field(make):
    one, other = (
        make.record(name, 1, (make.quantity("score", 5, codec=codec),), {"score": scores(0, 1)})
        for name, codec in (("add", "png"), ("lcm", "jpeg"))
    )
    with pytest.raises(
        RecordError, match=r"score of .* cannot be compared: protocol field 'codec' is 'png' and 'jpeg'"
    ):
        differences([(one, other)], columns([one]))
    assert one.quantities[0].protocol_hash != other.quantities[0].protocol_hash
    assert one.quantities[0].protocol_hash == make.quantity("other", 7, codec="png").protocol_hash


def test_pairs_stay_at_their_number_of_steps(make):
    records = [make.record(name, steps) for name in ("add", "lcm", "pd") for steps in (4, 1)]
    names = [(a.cell.num_inference_steps, a.cell.method, b.cell.method) for a, b in pairs(records)]
    assert names == [(s, *two) for s in (1, 4) for two in (("add", "lcm"), ("add", "pd"), ("lcm", "pd"))]
    against = [(a.cell.method, b.cell.method) for a, b in pairs(records, "lcm")]
    assert against == [("add", "lcm"), ("pd", "lcm")] * 2
