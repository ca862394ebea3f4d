"""Votes and ratings: closed forms, the paper's formula written out, and statsmodels as reference."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import binomtest

from bench.report.ledger.elo import POINTS, bradley_terry, elo
from bench.report.ledger.votes import ALIGNMENT, QUALITY, votes


def outcomes(models: int, prompts: int, seed: int = 0, ties: float = 0.0) -> dict[tuple[int, int], np.ndarray]:
    """Votes between models of known strengths 0, 0.4, 0.8, ... (natural units), a share of them ties."""
    rng = np.random.default_rng(seed)
    found = {}
    for i, j in combinations(range(models), 2):
        scores = (rng.random(prompts) < 1 / (1 + math.exp(-0.4 * (i - j)))).astype(float)
        scores[rng.random(prompts) < ties] = 0.5
        found[i, j] = scores
    return found


def test_one_vote_moves_both_ratings_by_half_of_k() -> None:
    """E = 1/2 for equal ratings, so a win gives K (1 - 1/2)."""
    assert elo({(0, 1): np.array([1.0])}, 2, replays=3, k=1.0) == pytest.approx([1000.5, 999.5])
    assert elo({(0, 1): np.array([0.5])}, 2, replays=3, k=1.0) == pytest.approx([1000, 1000])
    assert elo({(0, 1): np.array([1.0])}, 2, replays=3, k=32.0) == pytest.approx([1016, 984])


def test_elo_is_the_papers_formula_vote_by_vote() -> None:
    """Two votes have two orders: the mean over many replays lies between them, at their mean."""
    counted = {(0, 1): np.array([1.0]), (1, 2): np.array([1.0])}

    def played(order: list[tuple[int, int, float]]) -> list[float]:
        ratings = [1000.0] * 3
        for i, j, score in order:
            expected = 1 / (1 + 10 ** ((ratings[j] - ratings[i]) / 400))
            ratings[i] += 50 * (score - expected)
            ratings[j] -= 50 * (score - expected)
        return ratings

    games = [(0, 1, 1.0), (1, 2, 1.0)]
    both = np.mean([played(games), played(games[::-1])], axis=0)
    assert abs(played(games)[0] - played(games[::-1])[0]) > 1  # the order matters with this K
    found = elo(counted, 3, replays=4000, k=50.0)
    assert found == pytest.approx(both, abs=0.3)  # 4 standard errors of a fair coin over 4000 replays times 3.6 points


def test_elo_is_zero_sum_ranks_as_the_models_are_and_repeats_exactly() -> None:
    counted = outcomes(4, 300)
    found = elo(counted, 4, replays=120)
    assert found.mean() == pytest.approx(1000)
    assert list(np.argsort(found)) == [0, 1, 2, 3]
    assert (elo(counted, 4, replays=120) == found).all()
    assert (elo(counted, 4, replays=120, seed=1) != found).any()


def test_bradley_terry_of_two_is_the_log_of_the_odds() -> None:
    """600 of 1000 votes: theta = ln(0.6 / 0.4), with variance 1 / (n p q)."""
    scores = np.r_[np.ones(600), np.zeros(400)]
    found = bradley_terry({(0, 1): scores}, 2)
    assert found is not None
    value, low, high = found.difference(0, 1)
    assert value == pytest.approx(POINTS * math.log(1.5))
    spread = POINTS / math.sqrt(1000 * 0.6 * 0.4)
    assert (high - low) / 2 == pytest.approx(1.959964 * spread, rel=1e-3)  # n against n - 1 prompts
    assert found.ratings.mean() == pytest.approx(1000)


def test_bradley_terry_is_statsmodels_logistic_regression() -> None:
    sm = pytest.importorskip("statsmodels.api")
    counted = outcomes(5, 200, seed=2)
    found = bradley_terry(counted, 5)
    assert found is not None
    rows, y, prompts = [], [], []
    for (i, j), scores in counted.items():
        for prompt, score in enumerate(scores):
            row = np.zeros(5)
            row[i], row[j] = 1.0, -1.0
            rows.append(row[1:])  # model 0 is the reference
            y.append(score)
            prompts.append(prompt)
    fitted = sm.GLM(np.array(y), np.array(rows), family=sm.families.Binomial()).fit(
        cov_type="cluster", cov_kwds={"groups": np.array(prompts), "use_correction": False}
    )
    for model in range(1, 5):
        value, low, high = found.difference(model, 0)
        assert value == pytest.approx(POINTS * fitted.params[model - 1], rel=1e-6)
        spread = POINTS * fitted.bse[model - 1] * math.sqrt(200 / 199)  # ours takes prompts / (prompts - 1)
        assert (high - low) / 2 == pytest.approx(1.959964 * spread, rel=1e-6)


def test_prompts_that_vote_alike_on_every_pair_widen_the_interval() -> None:
    """All pairs decided by one coin a prompt: clusters of votes, which an interval over votes would not see."""
    rng = np.random.default_rng(0)
    coin = (rng.random(400) < 0.6).astype(float)
    together = bradley_terry({(0, 1): coin, (0, 2): coin, (1, 2): np.full(400, 0.5)}, 3)
    apart = bradley_terry({(0, 1): coin, (0, 2): rng.permutation(coin), (1, 2): np.full(400, 0.5)}, 3)
    assert together is not None
    assert apart is not None
    widths = [np.subtract(*found.interval(0)[::-1]) for found in (together, apart)]
    assert widths[0] > 1.25 * widths[1]  # by sqrt(2) in the limit


def test_a_model_that_never_loses_has_no_finite_rating() -> None:
    assert bradley_terry({(0, 1): np.ones(50)}, 2) is None


def test_votes_count_ties_half_and_turn_round(make) -> None:
    one = make.record("add", 1, (), {"clip-shapes": (3.0, 2.0, 5.0, 1.0, 1.0)})
    other = make.record("lcm", 1, (), {"clip-shapes": (1.0, 2.0, 4.0, 2.0, 1.0 + 1e-7)})
    found, back = votes(one, other, ALIGNMENT), votes(other, one, ALIGNMENT)
    assert found is not None
    assert back is not None
    assert list(found.scores) == [1.0, 0.5, 1.0, 0.0, 0.5]
    assert found.share == 60.0
    assert found.share + back.share == 100.0
    first = votes(one, other, ALIGNMENT, limit=2)
    assert first is not None
    assert first.share == 75.0
    assert votes(one, make.record("pd", 1), ALIGNMENT) is None


def test_the_interval_is_wilsons(make) -> None:
    scores = tuple([1.0] * 63 + [0.0] * 37)
    found = votes(
        make.record("add", 1, (), {"clip-shapes": scores}),
        make.record("lcm", 1, (), {"clip-shapes": (0.5,) * 100}), ALIGNMENT,
    )  # fmt: skip
    assert found is not None
    known = binomtest(63, 100).proportion_ci(method="wilson")
    assert found.interval == pytest.approx((100 * known.low, 100 * known.high))
    assert found.p_value == pytest.approx(math.erfc(2.6 / math.sqrt(2)))  # z = 0.13 / 0.05


def test_the_judges_scores_decide_and_wins_over_the_teacher_only_where_they_can(make) -> None:
    """The same four images: by scores all are decided; by wins only those that the teacher's image separates."""
    scores = {"preference_score": (9.0, 8.0, 3.0, 2.0), "preference": (100.0, 100.0, 0.0, 0.0)}
    others = {"preference_score": (7.0, 4.0, 8.0, 1.0), "preference": (100.0, 0.0, 100.0, 0.0)}
    one, other = make.record("add", 1, (), scores), make.record("lcm", 1, (), others)
    full = votes(one, other, QUALITY)
    assert full is not None
    assert list(full.scores) == [1.0, 1.0, 0.0, 1.0]
    assert full.by == "preference_score"
    old = [make.record(r.cell.method, 1, (), {"preference": r.per_image["preference"]}) for r in (one, other)]
    part = votes(*old, QUALITY)
    assert part is not None
    assert list(part.scores) == [0.5, 1.0, 0.0, 0.5]
    assert part.undecided == 0.5


def test_images_of_one_prompt_are_one_vote(make) -> None:
    from dataclasses import replace

    one = make.record("add", 1, (), {"clip-shapes": (3.0, 3.0, 1.0, 3.0)}, images_per_prompt=2)
    other = make.record("lcm", 1, (), {"clip-shapes": (2.0, 2.0, 2.0, 2.0)}, images_per_prompt=2)
    pair = [replace(item, clusters=(0, 0, 1, 1)) for item in (one, other)]
    found = votes(*pair, ALIGNMENT)
    assert found is not None
    assert list(found.scores) == [1.0, 0.5]
