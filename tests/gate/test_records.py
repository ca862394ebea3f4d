"""What may be compared at all: recipes, protocols, environments, and cells that one side does not have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.gate.records import record_checks
from bench.gate.run import gate_records
from bench.gate.verdicts import Verdict
from bench.record import Record
from tests.gate.worlds import MACHINE, RECIPE, clip, record


def verdict(base: Record, head: Record) -> tuple[Verdict, str]:
    outcome = gate_records([base], [head])
    return outcome.verdict, " ".join(check.note for check in outcome.checks if check.verdict is not None)


def with_provenance(**changes: Any) -> Record:
    plain = record()
    return replace(plain, provenance={**plain.provenance, **changes})


def test_the_same_records_pass_and_latency_is_only_reported() -> None:
    outcome = gate_records([record()], [record(latency=0.05)])
    assert (outcome.verdict, outcome.exit_code) == (Verdict.PASS, 0)
    latency = next(check for check in outcome.checks if check.kind == "latency")
    assert latency.verdict is None, "a stored latency cannot be measured in turn"
    assert latency.change == pytest.approx(150)


@pytest.mark.parametrize(
    ("head", "named"),
    [
        (with_provenance(recipe={**RECIPE, "scheduler_config": {"timestep_spacing": "leading"}}), "timestep_spacing"),
        (with_provenance(recipe={**RECIPE, "scheduler": "DDIMScheduler"}), "DDIMScheduler"),
        (record({"clip-shapes": clip(0, 300)}), "limit"),
        (record(nfe=2.0), "evaluations"),
        (record({"other": clip(0)}), "clip-shapes"),
    ],
)
def test_another_recipe_or_protocol_is_named(head: Record, named: str) -> None:
    found, note = verdict(record(), head)
    assert found is Verdict.RECIPE_MISMATCH
    assert named in note


def test_a_protocol_field_is_named_with_both_values() -> None:
    base, head = record(), record()
    quantity = replace(head.quantities[0], protocol={"prompts": "q", "n": 400})
    head = replace(head, quantities=(quantity, *head.quantities[1:]))
    found, note = verdict(base, head)
    assert found is Verdict.RECIPE_MISMATCH
    assert "clip-shapes prompts: 'p', 'q'" in note


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"machine": {**MACHINE, "cpu": "another"}}, "cpu"),
        ({"machine": {**MACHINE, "threads": 1}}, "threads"),
        ({"versions": {"torch": "2.15.0", "fewstep-bench": "0.1.0"}}, "torch"),
        ({"numerics": {"tf32": True}}, "tf32"),
    ],
)
def test_another_environment_needs_a_new_baseline(changes: dict[str, Any], named: str) -> None:
    found, note = verdict(record(), with_provenance(**changes))
    assert found is Verdict.CALIBRATION_NEEDED
    assert named in note


def test_its_own_version_is_what_is_gated_and_memory_may_differ() -> None:
    versions = {"torch": "2.14.1", "fewstep-bench": "0.2.0"}
    head = with_provenance(versions=versions, machine={**MACHINE, "memory_bytes": 1})
    assert verdict(record(), head)[0] is Verdict.PASS


def test_another_recipe_comes_before_another_environment_and_that_before_a_regression() -> None:
    bad = record({"clip-shapes": clip(1, change=-9)})
    base = [record(), record(steps=2), record(steps=4)]
    elsewhere = replace(record(steps=2), provenance=with_provenance(numerics={"tf32": True}).provenance)
    assert gate_records(base, [bad, elsewhere, record(steps=4, nfe=7)]).exit_code == 5
    assert gate_records(base, [bad, elsewhere, record(steps=4)]).exit_code == 4
    assert gate_records(base, [bad, record(steps=2), record(steps=4)]).exit_code == 1


def test_a_cell_that_no_longer_works_is_a_regression() -> None:
    broken = replace(record(), status="failed", reason="it broke", quantities=(), per_image={})
    assert verdict(record(), broken) == (Verdict.REGRESSION, "failed: it broke")
    assert verdict(broken, record())[0] is Verdict.INCONCLUSIVE
    assert record_checks([broken], [broken]) == []


def test_a_cell_of_the_base_alone_is_named() -> None:
    found = record_checks([record(), record(steps=4)], [record()])
    assert [(check.cell, check.verdict) for check in found if check.verdict] == [
        ("shapes/add-4", Verdict.RECIPE_MISMATCH)
    ]


def test_better_than_possible_can_be_let_through() -> None:
    base, head = [record()], [record({"clip-shapes": clip(1, change=9, spread=1)})]
    assert gate_records(base, head).exit_code == 5
    assert gate_records(base, head, expect_better=True).exit_code == 0
