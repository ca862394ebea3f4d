"""Quality is compared image by image: what passes, what is a regression, and what cannot be told."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_rel

from bench.gate.decide import decide
from bench.gate.margins import BAND, MARGINS
from bench.gate.quality import Paired, compare, quality_checks
from bench.gate.simulation import synthetic_bank
from bench.gate.verdicts import Check, Verdict
from bench.metrics.frechet_distance import frechet_distance, frechet_pseudo_values
from bench.metrics.moments import gaussian
from bench.record import Quantity
from tests.gate.worlds import clip, record


def of(change: float, spread: float = 1.0, n: int = 400) -> Check:
    base, head = record({"clip-shapes": clip(0, n)}), record({"clip-shapes": clip(1, n, change, spread)})
    return decide(list(quality_checks("shapes/add-1", base, head)))[0]


def test_equal_images_pass_whatever_their_number() -> None:
    found = of(0.0, 0.0)
    assert found.verdict is Verdict.PASS
    assert (found.change, found.low, found.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (0.0, Verdict.PASS),
        (-0.5, Verdict.PASS),  # worse for sure, and within the margin of 1 for sure
        (-3.0, Verdict.REGRESSION),
        (+2.0, Verdict.PASS),  # better
        (+9.0, Verdict.RECIPE_MISMATCH),  # beyond three margins
    ],
)
def test_verdicts(change: float, verdict: Verdict) -> None:
    assert of(change).verdict is verdict


def test_a_score_of_which_lower_is_better_is_turned_round() -> None:
    values = np.asarray(clip(0))
    quantity = Quantity("mine", 0.0, 0.0, 0.0, 400, "", False, {})
    found = decide([compare("c", quantity, Paired(values, np.asarray(clip(1, change=3.0, spread=1.0))))])[0]
    assert found.verdict is Verdict.REGRESSION
    assert found.low < found.change < found.high
    assert found.change == pytest.approx(3, abs=0.2)


def test_what_cannot_be_told_says_how_many_images_would_and_they_do() -> None:
    quantity = Quantity("clip-shapes", 0, 0, 0, 1, "", True, {})
    base, head = _drawn(0, 400)
    head += -0.5 - (head - base).mean()  # so that the change is what it seems
    found = decide([compare("c", quantity, Paired(base, head))])[0]
    assert found.verdict is Verdict.INCONCLUSIVE
    more = int(found.more.replace(",", "").split()[1])
    decided = [decide([compare("c", quantity, Paired(*_drawn(seed, 400 + more)))])[0] for seed in range(1, 41)]
    passed = sum(item.verdict is Verdict.PASS for item in decided)
    assert passed >= 28, "of 40: named for 90 %, less four standard deviations"
    early = [decide([compare("c", quantity, Paired(*_drawn(seed, 400)))])[0] for seed in range(1, 41)]
    assert sum(item.verdict is Verdict.PASS for item in early) < passed / 2


def test_no_absurd_number_is_named_at_the_margin_itself() -> None:
    base, head = _drawn(0, 400)
    head += -0.9999 - (head - base).mean()
    found = compare("c", Quantity("clip-shapes", 0, 0, 0, 1, "", True, {}), Paired(base, head))
    assert found.more == "more than 40,000 images"


def _drawn(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    base = np.asarray(clip(0, n))
    return base, base - 0.5 + 10.0 * np.random.default_rng((9, seed)).standard_normal(n)


def test_an_unpaired_comparison_would_not_see_it() -> None:
    base, head = np.asarray(clip(0)), np.asarray(clip(1, change=-1.5, spread=1.0))
    apart = abs(base.mean() - head.mean()) / np.sqrt((base.var() + head.var()) / 400)
    assert apart < 3.2  # of the unpaired error
    assert of(-1.5).verdict is Verdict.REGRESSION


def test_p_values_are_students() -> None:
    base, head = np.asarray(clip(0)), np.asarray(clip(1, change=-0.1))
    found = compare("c", Quantity("clip-shapes", 0, 0, 0, 400, "", True, {}), Paired(base, head - 0.05 * base))
    expected = ttest_rel(base, head - 0.05 * base, alternative="greater").pvalue
    assert found.p_worse == pytest.approx(expected, rel=1e-9)


def test_few_prompts_tell_nothing() -> None:
    found = of(-5.0, n=20)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "20 prompts are too few" in found.note


def test_several_images_of_a_prompt_are_one_draw() -> None:
    rng = np.random.default_rng(0)
    by_prompt = np.repeat(rng.standard_normal(40) * 2 - 0.8, 25)
    base = np.zeros(1000)
    alone = compare("c", Quantity("mine", 0, 0, 0, 1, "", True, {}), Paired(base, by_prompt))
    together = compare(
        "c", Quantity("mine", 0, 0, 0, 1, "", True, {}), Paired(base, by_prompt, np.repeat(np.arange(40.0), 25))
    )
    assert alone.p_worse < 1e-6 < together.p_worse


def test_the_change_of_a_frechet_distance_is_exact_and_its_error_that_of_repetition() -> None:
    bank = synthetic_bank(np.random.default_rng(0), images=6000)
    rng = np.random.default_rng(1)
    quantity = Quantity("fd-shapes", 0, 0, 0, 1, "", False, {})
    changes, roots, errors = [], [], []
    for _ in range(60):
        order = rng.permutation(6000)[:800]
        base, head = bank.features[order[:400]], bank.features[order[400:]]
        pseudo = [frechet_pseudo_values(rows, reference=bank.reference) for rows in (base, head)]
        found = compare("c", quantity, Paired(*pseudo))
        direct = [frechet_distance(generated=gaussian(rows), reference=bank.reference) for rows in (base, head)]
        assert found.change == pytest.approx(direct[1] - direct[0])
        changes.append(np.sqrt(direct[1]) - np.sqrt(direct[0]))
        ends = [np.sqrt(direct[0] + end) for end in (found.low, found.high)]
        roots.append(np.log(direct[1] / direct[0]))
        errors.append((ends[1] - ends[0]) / 2 / 1.966)
    ratio = np.std(changes) / np.mean(errors)
    assert 0.4 < ratio < 1.3  # never too narrow; the delta method is wide where two sets are nearly alike
    assert abs(np.mean(roots)) < 4 * np.std(roots) / np.sqrt(60), "neither side is favoured"


def test_margins_are_data_with_a_reason() -> None:
    for margin in MARGINS.values():
        assert margin.reason
        assert margin.absolute > 0
        assert 0 <= margin.share < 0.5
    assert MARGINS["fd-shapes"].of(8.0) == pytest.approx(0.8)
    assert MARGINS["fd-shapes"].of(1.0) == pytest.approx(0.3)
    assert BAND > 1
