"""The published values: complete, with a source each, and read with checks."""

from __future__ import annotations

import csv
import math

import pytest

from bench.errors import RecordError
from bench.published.tables import FOLDER, KEYS, READ, counterpart, published, read_rows, rule

ROWS = {"table1": 22, "table2": 10, "user_study": 20, "figure7": 6, "figure11": 17, "independent": 16}
"""The paper's: 4 + 4 + 2 + 5 + 4 + 3 ablations, 10 methods, 6 + 4 + 6 + 4 pairs, 6 models, 4 + 9 + 4 points."""


@pytest.mark.parametrize("name", KEYS)
def test_every_row_is_there_with_a_source_and_every_value_with_an_error(name: str) -> None:
    rows = published(name)
    assert len(rows) == ROWS[name]
    for row in rows:
        assert row.source.startswith("arXiv ")
        assert row.values
        for value in row.values.values():
            assert value.error > 0
            assert float(value.text) == value.number


def test_nothing_is_from_memory() -> None:
    for name in KEYS:
        with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            assert {row["read"] for row in csv.DictReader(file)} <= set(READ)
    assert {row.values["fid"].digitised for row in published("table1")} == {False}
    assert {row.values["quality_pct"].digitised for row in published("user_study")} == {True}


def test_the_default_row_of_each_panel_is_one_and_the_same_measurement() -> None:
    defaults = [row for row in published("table1") if row.keys["default"] == "1"]
    assert [row.keys["panel"] for row in defaults] == list("abcdef")
    assert {(row.values["fid"].text, row.values["clip_score"].text) for row in defaults} == {("20.6", "0.319")}


def test_ratings_of_the_paper_add_up_as_a_zero_sum_rating_must() -> None:
    ratings = [row.values["elo"].number for row in published("figure7")]
    assert math.fsum(ratings) / len(ratings) == pytest.approx(1000, abs=1)  # each was read off to about 1


def test_every_row_has_a_counterpart_or_a_reason() -> None:
    for row in published("table2"):
        counterpart("table2", row.keys["method"], row.keys["num_inference_steps"])
    for row in published("user_study"):
        for side in ("add", "opponent"):
            name = row.keys["add_model" if side == "add" else "opponent"]
            counterpart("study", name, row.keys[f"{side}_steps"])
    for row in published("figure7"):
        counterpart("study", row.keys["model"], row.keys["num_inference_steps"])
    with pytest.raises(KeyError, match="no counterpart and no reason for DALL-E"):
        counterpart("study", "DALL-E", "1")


def test_counterparts_are_methods_that_exist() -> None:
    from methods.registry import METHODS

    with (FOLDER / "counterparts.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    named = {row[column] for row in rows for column in ("method", "full_method") if row[column]}
    assert named <= set(METHODS.names())
    assert all(bool(row["method"]) != bool(row["reason"] and not row["method"]) for row in rows)


def test_what_counts_as_no_difference_is_the_papers_own_table_1f() -> None:
    steps = {row.keys["setting"]: row.values for row in published("table1") if row.keys["panel"] == "f"}
    for score in ("fid", "clip_score"):
        largest = max(abs(steps[n][score].number - steps["1"][score].number) for n in ("2", "4"))
        assert rule(f"{score}_tie") == pytest.approx(largest)


def test_what_counts_as_no_preference_follows_from_the_number_of_votes() -> None:
    votes, z = rule("votes_per_pair"), 1.959964
    assert rule("votes_tie_pct") == pytest.approx(100 * z * math.sqrt(0.25 / votes), abs=0.05)
    # six even models, a complete graph: var(theta_i - theta_j) = 2 / (6 n / 4); 400 / ln 10 points a unit of theta
    spread = z * 400 / math.log(10) * math.sqrt(2 / (6 * votes / 4))
    assert rule("elo_tie") == pytest.approx(spread + 1, abs=1.5)


HEAD = "model,fid,fid_error,read,source,note\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a,1.0,0.1,from memory,arXiv 1,", "read 'from memory' is none of"),
        ("a,1.0,0.1,printed,,", "no source"),
        ("a,1.0,,printed,arXiv 1,", "could not convert"),
        ("a,1.0,0,printed,arXiv 1,", "no value with an error"),
        ("a,nan,0.1,printed,arXiv 1,", "no value with an error"),
        ("a,1.0,0.1,printed,arXiv 1,\na,2.0,0.1,printed,arXiv 1,", "a stands twice"),
        ("a,1.0,0.1,printed", "not as many cells"),
    ],
)
def test_a_damaged_file_is_refused_with_its_line(tmp_path, line: str, message: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(HEAD + line + "\n")
    with pytest.raises(RecordError, match=rf"x\.csv, line \d: .*{message}"):
        read_rows(path, ("model",))
