"""Verdicts on records with known answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.claims.claim import Claim, Comparison, Side, ablation
from bench.claims.contenders import asked
from bench.claims.judge import judge, judge_all
from bench.claims.table import CLAIMS
from bench.errors import RecordError
from bench.record import Record
from bench.report.claims import because
from methods.registry import PAPER
from tests.claims.make import row, scores, trainings

ADD, LCM = Side("add", 1), Side("lcm", 1)
BETTER = Comparison("fd-shapes", ADD, LCM, "below")


def claim(*comparisons: Comparison) -> Claim:
    return Claim("test", "a test", "nowhere", "none", comparisons, "python -m bench bakeoff")


def methods(
    levels: dict[str, float], rng: np.random.Generator, *, seeds: int = 3, of_seeds: float = 0.1
) -> list[Record]:
    """A method a level of FD-shapes; preference goes the other way."""
    by_image = 2 * rng.standard_normal(100)
    made: list[Record] = []
    for name, level in levels.items():
        tables = {
            "fd-shapes": scores(level, rng, seeds=seeds, of_seeds=of_seeds, of_images=by_image),
            "preference": scores(50 - level, rng, seeds=seeds, of_images=by_image),
        }
        made += trainings(tables, name)
    return made


def test_it_holds_where_the_interval_lies_on_its_side() -> None:
    found = judge(claim(BETTER), methods({"add": 2.0, "lcm": 5.0}, np.random.default_rng(0)))
    assert found.verdict == "holds"
    interval = found.evidence[0].interval
    assert interval is not None
    assert interval.low < -3.0 < interval.high < 0
    assert (found.evidence[0].seeds, found.evidence[0].prompts) == (3, 100)


def test_it_does_not_where_it_lies_on_the_other() -> None:
    found = judge(claim(BETTER), methods({"add": 5.0, "lcm": 2.0}, np.random.default_rng(0)))
    assert found.verdict == "does not"


def test_equal_methods_cannot_be_told_apart() -> None:
    """How often equal methods are told apart, either way: at most 5 %, and some for the degrees of freedom."""
    told = 0
    for repeat in range(200):
        found = judge(claim(BETTER), methods({"add": 3.0, "lcm": 3.0}, np.random.default_rng(repeat)))
        told += found.verdict != "cannot tell"
    assert told / 200 <= 0.10


def test_a_claim_about_many_is_refused_by_chance_no_more_often_than_one_about_one() -> None:
    """Bonferroni's widening, and as a negative control what happens without it."""
    rivals = [f"rival-{number}" for number in range(10)]
    many = claim(*(Comparison("fd-shapes", ADD, Side(name, 1), "below") for name in rivals))
    refused = unwidened = 0
    for repeat in range(60):
        levels = dict.fromkeys(["add", *rivals], 3.0)
        found = judge(many, methods(levels, np.random.default_rng(1000 + repeat), of_seeds=1.0))
        refused += found.verdict == "does not"
        unwidened += any(part.interval is not None and part.interval.low > 0 for part in found.evidence)
    assert refused / 60 <= 0.10
    assert unwidened > 2 * refused


def test_all_comparisons_must_agree() -> None:
    records = methods({"add": 2.0, "lcm": 5.0, "pd": 2.0}, np.random.default_rng(0))
    both = claim(BETTER, Comparison("fd-shapes", ADD, Side("pd", 1), "below"))
    assert judge(both, records).verdict == "cannot tell"
    assert judge(claim(BETTER), records).verdict == "holds"


def test_too_few_seeds_cannot_tell_and_say_what_makes_more() -> None:
    records = methods({"add": 2.0, "lcm": 5.0}, np.random.default_rng(0), seeds=1)
    found = judge(claim(BETTER), records)
    assert found.verdict == "cannot tell"
    assert found.reason == "1 of 3 training seeds of add at 1 step; `python -m bench bakeoff` makes what is missing"


def test_what_is_missing_is_not_asked_for_where_it_would_change_nothing() -> None:
    records = methods({"add": 2.0, "lcm": 2.0}, np.random.default_rng(0))
    found = judge(claim(BETTER, Comparison("fd-shapes", ADD, Side("pd", 1), "below")), records)
    assert (found.verdict, found.reason) == ("cannot tell", None)
    assert because(found).startswith("fd-shapes, add at 1 step less lcm at 1 step")
    assert because(found).endswith("; and 1 that lack training seeds")


def test_no_record_at_all_cannot_tell() -> None:
    assert judge(claim(BETTER), []).reason == (
        "0 of 3 training seeds of add at 1 step; `python -m bench bakeoff` makes what is missing"
    )


def test_one_contradiction_is_enough_though_others_are_missing() -> None:
    records = methods({"add": 5.0, "lcm": 2.0}, np.random.default_rng(0))
    both = claim(BETTER, Comparison("fd-shapes", ADD, Side("pd", 1), "below"))
    assert judge(both, records).verdict == "does not"


def test_scores_of_two_protocols_are_never_compared() -> None:
    rng = np.random.default_rng(0)
    records = trainings({"fd-shapes": scores(2.0, rng)}, "add", protocol="one")
    records += trainings({"fd-shapes": scores(5.0, rng)}, "lcm", protocol="two")
    found = judge(claim(BETTER), records)
    assert found.verdict == "cannot tell"
    assert "several protocols" in str(found.reason)


@pytest.mark.parametrize("change", [{"snapshot": "1/8"}, {"seed": 1}, {"family": "sdxl"}, {"guidance_scale": 3.0}])
def test_other_settings_do_not_stand_for_a_method(change: dict[str, object]) -> None:
    rng = np.random.default_rng(0)
    records = trainings({"fd-shapes": scores(2.0, rng)}, "add", **change)
    records += trainings({"fd-shapes": scores(5.0, rng)}, "lcm")
    assert "0 of 3 training seeds of add" in str(judge(claim(BETTER), records).reason)


def test_the_teacher_is_one_and_images_of_a_prompt_count_as_one() -> None:
    """Four images of each of 100 prompts; the teacher's diversity is 1 and the student's 0.5."""
    rng = np.random.default_rng(0)
    clusters = tuple(index // 4 for index in range(400))
    made = [
        replace(item, clusters=clusters)
        for name, steps, level, seeds in (("add", 1, 0.5, 3), ("sdxl-euler", 25, 1.0, 1))
        for item in trainings(
            {"diversity": scores(level, rng, seeds=seeds, prompts=400, of_seeds=0.01, of_both=0.1)},
            name,
            steps,
            images_per_prompt=4,
        )
    ]
    lost = Comparison("diversity", ADD, Side("sdxl-euler", 25), "below", images_per_prompt=4)
    found = judge(claim(lost), made)
    assert found.verdict == "holds"
    assert found.evidence[0].prompts == 100


def test_a_share_is_compared_with_a_half() -> None:
    rng = np.random.default_rng(0)
    records = trainings({"preference": scores(56.0, rng, of_both=5.0)}, "add", 4)
    preferred = Comparison("preference", Side("add", 4), None, "above", 50.0)
    assert judge(claim(preferred), records).verdict == "holds"
    assert judge(claim(replace(preferred, bound=60.0)), records).verdict == "does not"


def test_a_row_is_found_by_the_training_that_stands_for_it() -> None:
    rng = np.random.default_rng(0)
    records = row("default", {"fd-shapes": scores(10.0, rng)}, ("default", "f-1"))
    records += row("c-random", {"fd-shapes": scores(100.0, rng)})
    collapses = Comparison("fd-shapes", ablation("c-random"), ablation("f-1"), "above", 2.0, "ratio")
    found = judge(claim(collapses), records)
    assert found.verdict == "holds"
    assert found.evidence[0].interval is not None
    assert found.evidence[0].interval.value == pytest.approx(10.0, rel=0.05)


def test_rows_of_the_ablations_are_compared_seed_by_seed() -> None:
    """They begin as the same student: what that one is like moves both, and is no part of their difference."""
    rng = np.random.default_rng(0)
    of_seeds = 20 * rng.standard_normal((3, 1))
    records = row("default", {"fd-shapes": 200 + of_seeds + scores(0.0, rng)}, ("default", "f-1"))
    records += row("f-2", {"fd-shapes": 199 + of_seeds + scores(0.0, rng)})
    worse = Comparison("fd-shapes", ablation("f-1"), ablation("f-2"), "above")
    assert judge(claim(worse), records).verdict == "holds"
    assert judge(claim(worse), records[:-1]).verdict == "cannot tell"  # two seeds in common
    apart = [replace(item, per_image={"fd-shapes": item.per_image["fd-shapes"]}) for item in records]
    for item, other in zip(apart[3:], (1, 2, 0), strict=True):
        object.__setattr__(item, "cell", replace(item.cell, train_seed=other))
    assert judge(claim(worse), apart).verdict == "cannot tell"  # the wrong seeds together


def test_the_bakeoff_measures_what_the_claims_compare() -> None:
    """Every method that a claim names is among the cells, from three seeds; the teacher from one."""
    cells = {(item.method, item.steps, item.train_seed, item.images_per_prompt) for item in asked(3)}
    for comparison in (item for one in CLAIMS for item in one.comparisons):
        for side in (comparison.one, comparison.other):
            if side is None or side.row is not None:
                continue
            seeds = (0,) if side.method == "sdxl-euler" else (0, 1, 2)
            for seed in seeds:
                assert (side.method, side.steps, seed, comparison.images_per_prompt) in cells
    assert ("sdxl-euler", 25, 1, 4) not in cells


def test_the_rivals_are_the_methods_of_the_paper_and_not_its_successor() -> None:
    compared = {
        comparison.other.method
        for comparison in next(item for item in CLAIMS if item.name == "one-step").comparisons
        if comparison.other is not None
    }
    assert compared < set(PAPER)
    assert "dmd2" not in compared


def test_nothing_to_judge_is_an_error() -> None:
    with pytest.raises(RecordError, match="no claim"):
        judge_all([], [])
