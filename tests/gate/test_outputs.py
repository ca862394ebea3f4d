"""What a gate leaves for people and for CI."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np

from bench.gate.figure import write_figure
from bench.gate.lines import lines
from bench.gate.outputs import as_json, junit, markdown, sarif, write_outputs
from bench.gate.run import Outcome
from bench.gate.verdicts import Check, Verdict, settled
from tests.gate.worlds import FLOOR, check, pairs

SLOW = check(
    kind="latency", quantity="latency_s", title="latency", unit="%", change=5.2, low=4.1, high=6.3, margin=3.0,
    relative=True, note="denoiser +5.3 %, decoder 0.0 %", verdict=Verdict.REGRESSION,
)  # fmt: skip
FINE = check(verdict=Verdict.PASS)
OPEN = check(cell="shapes/lcm-4", verdict=Verdict.INCONCLUSIVE, more="about 300 more images")
SHOWN = check(cell="shapes/lcm-4", kind="latency", title="latency", unit="%", change=2.0, low=math.nan, high=math.nan,
              margin=math.nan, relative=True, gated=False)  # fmt: skip
OTHER = settled("shapes/gan-1", "quality", Verdict.RECIPE_MISMATCH, "recipe scheduler: 'A', 'B'")
HOSTILE = settled(
    "shapes/<b>|x", "quality", Verdict.REGRESSION, "failed: </failure>|]]>\x00\n![a](http://b) @all <script>"
)


def outcome(*checks: Check) -> Outcome:
    return Outcome(checks, 3, 240.0, "base", "head", FLOOR, {"shapes/add-1": [pairs(np.random.default_rng(0), n=2)]})


def test_one_line_a_cell_and_kind_then_the_sum() -> None:
    found = list(lines(outcome(SLOW, FINE, OPEN, SHOWN, OTHER)))
    assert found == [
        "shapes/add-1  latency  REGRESSION          latency +5.2 % [+4.1, +6.3], margin 3.0; denoiser +5.3 %, "
        "decoder 0.0 %",
        "shapes/add-1  quality  PASS                FD-shapes +0.020 [-0.050, +0.090], margin 0.300",
        "shapes/lcm-4  latency  reported            latency +2.0 %",
        "shapes/lcm-4  quality  INCONCLUSIVE        FD-shapes +0.020 [-0.050, +0.090], margin 0.300; about 300 more "
        "images would decide",
        "shapes/gan-1  quality  RECIPE_MISMATCH     recipe scheduler: 'A', 'B'",
        "1 recipe mismatch, 1 regression, 1 inconclusive in 4 checks · 3 rounds · 4 min · RECIPE_MISMATCH · exit 5",
    ]  # fmt: skip


def test_the_gravest_check_of_a_cell_speaks_for_it() -> None:
    bad = check(title="Attributes", verdict=Verdict.REGRESSION)
    (line, _) = lines(outcome(FINE, bad, FINE))
    assert "REGRESSION" in line
    assert "Attributes" in line
    assert line.endswith("2 others pass")


def test_a_line_is_one_line_and_orders_no_terminal_about() -> None:
    odd = settled("shapes/add-1", "quality", Verdict.REGRESSION, "failed: one\ntwo \x1b[2J\x07")
    found = list(lines(outcome(odd)))
    assert len(found) == 2
    assert found[0].isprintable()


def test_all_pass() -> None:
    assert list(lines(outcome(FINE, FINE)))[-1] == "all 2 checks pass · 3 rounds · 4 min · PASS · exit 0"


def test_markdown_is_a_table_with_what_is_wrong_first() -> None:
    text = markdown(outcome(FINE, SLOW))
    assert text.startswith("### ❌ Gate: REGRESSION")
    assert text.index("+5.2") < text.index("<details>") < text.index("FD-shapes")


def test_markdown_holds_nothing_that_could_be_more_than_text() -> None:
    text = markdown(outcome(HOSTILE))
    assert "<script>" not in text
    assert "![a](" not in text
    assert "@all" not in text
    assert "\x00" not in text
    row = next(line for line in text.splitlines() if "script" in line)
    assert row.replace("\\|", "").count("|") == 5


def test_junit_counts_and_parses_whatever_the_text() -> None:
    suite = ET.fromstring(junit(outcome(SLOW, FINE, OPEN, SHOWN, HOSTILE)))
    assert {name: suite.get(name) for name in ("tests", "failures", "skipped")} == {
        "tests": "5", "failures": "2", "skipped": "2",
    }  # fmt: skip
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert "denoiser +5.3 %" in (failure.get("message") or "")


def test_sarif_points_at_the_method() -> None:
    run = sarif(outcome(SLOW, FINE, OPEN, SHOWN, OTHER))["runs"][0]
    assert [(item["ruleId"], item["level"]) for item in run["results"]] == [
        ("REGRESSION", "error"), ("INCONCLUSIVE", "warning"), ("RECIPE_MISMATCH", "error"),
    ]  # fmt: skip
    root = Path(__file__).parents[2]
    for item in run["results"]:
        uri = item["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert (root / uri).is_file()
    assert {item["ruleId"] for item in run["results"]} <= {rule["id"] for rule in run["tool"]["driver"]["rules"]}


def test_json_holds_everything_and_no_nan(tmp_path: Path) -> None:
    paths = write_outputs(outcome(SLOW, SHOWN, OTHER), tmp_path)
    data = json.loads(
        paths["gate.json"].read_text(), parse_constant=lambda name: (_ for _ in ()).throw(ValueError(name))
    )
    assert data == json.loads(json.dumps(as_json(outcome(SLOW, SHOWN, OTHER))))
    assert (data["verdict"], data["exit_code"]) == ("RECIPE_MISMATCH", 5)
    assert len(data["pairs"]["shapes/add-1"][0]) == 2


def test_the_figure_is_drawn_and_the_same_each_time(tmp_path: Path) -> None:
    first = [path.read_bytes() for path in write_figure(outcome(SLOW, FINE, OPEN, SHOWN, OTHER), tmp_path)]
    assert first == [path.read_bytes() for path in write_figure(outcome(SLOW, FINE, OPEN, SHOWN, OTHER), tmp_path)]
    assert len(first) == 2
    assert write_figure(outcome(OTHER), tmp_path) == []
