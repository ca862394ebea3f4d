"""Records become groups that may be compared, and nothing else is put side by side."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import RecordError, UsageError
from bench.report.frame import TIDY_COLUMNS, groups, load, tidy


def test_settings_that_change_a_number_make_groups(make):
    records = [make.record("add"), make.record("lcm"), make.record("add", limit=20), make.record("add", seed=1)]
    found = groups(records)
    assert [len(group.measured) for group in found] == [2, 1, 1]
    assert len({group.slug for group in found}) == 3


def test_the_largest_group_of_a_suite_is_called_by_it_whatever_joins(make):
    first, second = [make.record("add")], [make.record("lcm"), make.record("lcm", 4)]
    other = [make.record("add", limit=20), make.record("add", suite="coco2014")]
    for records in (first, first + second, first + second + other):
        found = groups(records)
        assert found[0].slug == "shapes"
        assert [group.slug for group in found[1:] if group.key.suite == "shapes"] == [
            group.key.slug for group in found[1:] if group.key.suite == "shapes"
        ]
    assert {group.slug for group in found if group.key.suite != "shapes"} == {"coco2014"}


def test_rows_are_by_steps_then_method(make):
    group = groups([make.record("lcm", 4), make.record("lcm", 1), make.record("add", 4)])[0]
    assert [(r.cell.num_inference_steps, r.cell.method) for r in group.measured] == [(1, "lcm"), (4, "add"), (4, "lcm")]


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("resize", {"resize": "bilinear"}),  # in one protocol only
        ("extractor", {"extractor": "inception"}),
        ("unit", {"unit": "%"}),
        ("higher_is_better", {"higher": True}),
    ],
)
def test_scores_of_two_protocols_are_refused_by_field(make, field, changes):
    records = [make.record("add", 1, (make.quantity(),)), make.record("lcm", 1, (make.quantity(**changes),))]
    with pytest.raises(RecordError, match=rf"fd-shapes.*'{field}'"):
        groups(records)


def test_two_protocols_in_two_groups_are_not_side_by_side(make):
    other = make.record("lcm", 1, (make.quantity(resize="bilinear"),), limit=20)
    assert len(groups([make.record("add", 1, (make.quantity(),)), other])) == 2


def test_tidy_is_one_row_a_cell_and_quantity(make):
    frame = tidy([make.record("lcm", 4, (make.quantity(), make.quantity("kid-shapes", 0.1, 0.01))), make.record("add")])
    assert list(frame.columns) == [*TIDY_COLUMNS, "record"]
    assert list(frame["quantity"]) == ["fd-shapes", "kid-shapes"]
    assert frame["ci_low"].tolist() == [9.0, 0.1 - 0.01]


def test_no_records_names_the_fix(tmp_path: Path):
    with pytest.raises(UsageError, match=r"no records in .*bench run --out"):
        load(tmp_path)


def test_the_report_imports_no_torch():
    code = "import sys, bench.report.build; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    control = "import sys; sys.modules['torch'] = sys; import bench.report.build; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", control], check=False).returncode == 1
