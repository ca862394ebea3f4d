"""Tables say what the records say, in three kinds of markup that nothing in a record can break."""

from __future__ import annotations

import csv
import io
import math

import pytest

from bench.report.display import columns, digits, display, number
from bench.report.frame import groups
from bench.report.latex import escape_latex, results_latex
from bench.report.markdown import escape_markdown, readme_markdown, results_markdown
from bench.report.tables import LATER, not_measured_csv, results_csv, results_table
from bench.report.tables import apart as set_apart


def apart(make):
    """Two cells of which the first is clearly better."""
    return groups(
        [make.record("add", 1, (make.quantity(value=5),)), make.record("lcm_x", 1, (make.quantity(value=9, half=1),))]
    )


def test_bold_only_where_the_interval_says_so(make):
    assert "**5.0** [4.0, 6.0]" in results_markdown(apart(make))
    assert r"\textbf{5.0} {\scriptsize [4.0, 6.0]}" in results_latex(apart(make))
    near = groups([make.record("add", 1, (make.quantity(value=8),)), make.record("lcm", 1, (make.quantity(value=9),))])
    assert "**" not in results_markdown(near)
    assert "textbf" not in results_latex(near)


def test_csv_has_the_exact_values(make):
    rows = list(csv.DictReader(io.StringIO(results_csv(apart(make)))))
    assert [(row["method"], float(row["value"]), row["best"]) for row in rows] == [
        ("add", 5.0, "True"), ("lcm_x", 9.0, "False"),
    ]  # fmt: skip
    assert rows[0]["guidance_scale"] == ""
    assert rows[0]["protocol"] == rows[1]["protocol"] == make.quantity().protocol_hash
    assert make.quantity(resize="another").protocol_hash != rows[0]["protocol"]


def test_a_quantity_that_one_cell_lacks_is_a_dash(make):
    records = [
        make.record("add", 1, (make.quantity(), make.quantity("mine", 1))),
        make.record("lcm", 1, (make.quantity(),)),
    ]
    line = next(line for line in results_markdown(groups(records)).splitlines() if line.startswith("| lcm"))
    assert line.endswith("| – |")


def test_what_was_not_measured_is_listed_with_its_reason(make):
    found = groups([make.missing("broken_one", 2, "failed", "50 % | <b>lost</b>")])
    assert r"| broken\_one | 2 | failed | 50 % \| &lt;b>lost&lt;/b> |" in results_markdown(found)
    assert r"broken\_one & 2 & failed & 50 \% \textbar{} \textless{}b\textgreater{}" in results_latex(found)
    assert next(csv.DictReader(io.StringIO(not_measured_csv(found))))["reason"] == "50 % | <b>lost</b>"


def test_units_and_directions_stand_in_the_heads(make):
    text = results_markdown(groups(make.example_records()))
    for head in ("FD-shapes ↓", "CLIP-shapes ↑", "Preference-shapes (%) ↑", "Latency (ms) ↓", "Peak memory (MiB) ↓"):
        assert f"| {head} |" in text
    assert "| 4.00 [3.88, 4.12] |" in text  # 0.004 s with 3 %, shown in ms


def test_every_table_says_that_it_is_no_fid(make):
    found = groups(make.example_records())
    for text in (results_markdown(found), readme_markdown(found)):
        assert "none of them is “FID”" in text


def test_the_readme_has_a_table_a_suite_and_the_full_text_has_every_group(make):
    small = make.record("add", 1, (make.quantity("latency_s", 0.004, 0.0001, unit="s"),), limit=10)
    found = groups([*make.example_records(), small])
    assert "10 prompts" in results_markdown(found)
    assert "10 prompts" not in readme_markdown(found)


def test_a_quantity_of_a_third_party_appears_by_itself(make):
    column = display(make.quantity("my-score", unit="points", higher=True))
    assert (column.header, column.kind) == ("my-score (points) ↑", "quality")
    assert display(make.quantity("latency_text_encoder_s", unit="s")).header == "Text encoder (ms) ↓"


@pytest.mark.parametrize(("half", "places"), [(20.0, 0), (3.0, 1), (0.4, 2), (0.01, 3), (0.0, 0)])
def test_two_significant_digits_of_the_half_width(make, half, places):
    records = [make.record("add", 1, (make.quantity(value=9.0, half=half),))]
    assert digits(columns(records)[0], records) == places


def test_numbers():
    assert number(1234.5, 0) == "1,234"
    assert number(-0.001, 2) == "0.00"
    assert number(-1.0, 1) == "-1.0"


def test_markdown_escapes():
    assert escape_markdown("a|b_c*d`e\nf<g") == r"a\|b\_c\*d\`e f&lt;g"


def test_latex_escapes():
    assert escape_latex("100 % of a_b & $5 #1 {x} \\y ~^") == (
        r"100 \% of a\_b \& \$5 \#1 \{x\} \textbackslash{}y \textasciitilde{}\textasciicircum{}"
    )


def test_latex_rows_have_as_many_cells_as_the_head(make):
    text = results_latex(groups(make.example_records()))
    for block in text.split(r"\begin{tabular}")[1:]:
        rows = [line for line in block.splitlines() if line.endswith(r"\\")]
        assert len({line.replace(r"\&", "").count("&") for line in rows}) == 1
        assert block.count(r"\toprule") == block.count(r"\bottomrule") == 1


def test_values_in_the_table_are_those_of_the_record(make):
    table = results_table(groups(make.example_records())[0])
    row = next(row for row in table.rows if (row.method, row.steps) == ("lcm", 4))
    entry = next(entry for entry in row.entries if entry.quantity == "latency_s")
    assert math.isclose(entry.sort, 9.0)
    assert entry.value == "9.00"


@pytest.mark.parametrize(("fd", "best"), [(1.0, "add"), (9.0, "add")])
def test_a_later_method_is_shown_apart_and_never_best(make, fd, best):
    records = [
        make.record("add", 1, (make.quantity(value=5.0),)),
        make.record("lcm", 1, (make.quantity(value=20.0),)),
        make.record("dmd2", 1, (make.quantity(value=fd, half=0.1),)),
    ]
    table = results_table(groups(records)[0])
    marked = {row.method: any(entry.best for entry in row.entries) for row in table.rows}
    assert [name for name, is_best in marked.items() if is_best] == [best]
    found = {title: [row.method for row in part.rows] for title, part in set_apart(table)}
    assert found == {"": ["add", "lcm"], LATER: ["dmd2"]}
    for write in (results_markdown, readme_markdown, results_latex):
        text = write(groups(records))
        assert text.index("lcm") < text.index(LATER) < text.index("dmd2")


def test_without_later_methods_nothing_is_said_of_them(make):
    assert LATER not in results_markdown(groups(make.example_records()))
