"""Table 1 as data, and what synthetic records make of it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from bench.claims.ablated import ablated
from bench.claims.ablations import PANELS, ROWS, rows_of
from bench.claims.claim import Claim
from bench.claims.table import CLAIMS
from bench.commands.studies import panels
from bench.errors import UsageError
from bench.published.tables import published
from bench.record import Record, read_record, write_record
from bench.report.claims import ABLATION_HEADS, ablation_csv_rows, ablation_rows
from bench.report.frame import groups, label
from bench.report.ledger.ablated import ablated_rows
from bench.report.ledger.table1 import table1
from bench.report.sections import DataTable, Material
from bench.report.studies import budget_section, claims_section
from tests.claims.make import record, row, scores, trainings


def test_every_row_is_one_of_the_paper_and_none_is_left_out() -> None:
    assert {(item.panel, item.setting) for item in ROWS} == {
        (item.keys["panel"], item.keys["setting"]) for item in published("table1")
    }
    assert len({item.name for item in ROWS}) == len(ROWS)


def test_every_row_that_a_claim_names_is_there() -> None:
    known = {item.name for item in ROWS} | {"default"}
    assert all(name in known for claim in CLAIMS for name in rows_named(claim))


def rows_named(claim: Claim) -> set[str]:
    sides = [side for item in claim.comparisons for side in (item.one, item.other)]
    return {side.row for side in sides if side is not None and side.row is not None}


def table(fd: dict[str, float], seeds: int = 3) -> list[Record]:
    """A record a (row, seed), CLIP falling as the distance rises; "default" is that of panel (d)."""
    rng = np.random.default_rng(0)
    made: list[Record] = []
    for name, level in fd.items():
        values = {"fd-shapes": level, "clip-shapes": 80 - level, "preference": 50 - level}
        tables = {key: scores(value, rng, seeds=seeds) for key, value in values.items()}
        made += row(name, tables, ("default", "d-exponential") if name == "default" else (name,))
    return made


def test_a_change_that_goes_the_papers_way_is_reproduced_and_the_other_way_differs() -> None:
    """As published, adv is no different on FID, distill worse, nfsd worse on FID and better on CLIP."""
    found = {item.row.name: item for item in ablated(table({"default": 10, "d-distill": 30, "d-adv": 10, "d-nfsd": 5}))}
    assert found["d-exponential"].agreement("fd-shapes") == "default"
    assert found["d-distill"].agreement("fd-shapes") == "reproduced"
    assert found["d-distill"].agreement("clip-shapes") == "reproduced"
    assert found["d-adv"].agreement("fd-shapes") == "cannot tell"
    assert found["d-nfsd"].agreement("fd-shapes") == "differs"
    assert found["d-nfsd"].agreement("clip-shapes") == "reproduced"
    assert found["d-exponential"].same_as == "default"


def test_what_is_not_there_says_how_to_make_it() -> None:
    found = {item.row.name: item for item in ablated(table({"default": 10}, seeds=1))}
    assert found["f-4"].reason == "0 of 3 training seeds; `python -m bench ablate f` makes them"
    assert found["d-exponential"].reason == "1 of 3 training seeds; `python -m bench ablate d` makes them"


def test_a_line_for_every_row_and_a_number_for_every_score() -> None:
    found = ablated(table({"default": 10, "d-distill": 30}))
    lines = ablation_rows(found)
    assert [len(line) for line in lines] == [len(ABLATION_HEADS)] * len(ROWS)
    heads, numbers = ablation_csv_rows(found)
    assert [len(line) for line in numbers] == [len(heads)] * 3 * len(ROWS)
    distill = next(line for line in lines if line[1] == "distill")
    assert distill[3:6] == ["315.6", distill[4], "worse | worse: reproduced"]


def test_panels_are_named_as_one_likes() -> None:
    assert panels(["table1a", "C", "(d)"]) == ("a", "c", "d")
    assert panels(["table1"]) == PANELS
    assert {item.panel for item in rows_of(("a", "f"))} == {"a", "f"}
    with pytest.raises(UsageError, match="unknown panel 'g'"):
        panels(["g"])


def test_variants_are_ordinary_records_with_names_of_their_own(tmp_path: object) -> None:
    rng = np.random.default_rng(0)
    values = {"fd-shapes": scores(1.0, rng)[0]}
    changes: list[dict[str, object]] = [
        {}, {"ablation": "d-adv"}, {"train_seed": 1}, {"snapshot": "1/8"}, {"ablation": "d-adv", "train_seed": 2},
    ]  # fmt: skip
    made = [record(values, **change) for change in changes]
    assert len({item.cell.name for item in made}) == len(made)
    paths = [write_record(item, tmp_path) for item in made]  # type: ignore[arg-type]
    assert [read_record(path).cell for path in paths] == [item.cell for item in made]
    assert [label(item.cell) for item in made] == [
        "add", "add [d-adv]", "add [training seed 1]", "add [after 1/8 of its training]",
        "add [d-adv, training seed 2]",
    ]  # fmt: skip


def test_a_cell_of_the_suites_own_students_keeps_its_name() -> None:
    cell = record({"fd-shapes": np.ones(4)}, "add", limit=1000).cell
    assert cell.name == "add-1-n1000-1372ba"  # as in the stored records


def test_variants_stand_in_tables_of_their_own() -> None:
    rng = np.random.default_rng(0)
    plain = trainings({"fd-shapes": scores(1.0, rng, seeds=1)})
    found = groups([*plain, *table({"default": 10})])
    assert [item.cell.variant for group in found for item in group.measured] == [""]


def material(records: list[Record]) -> Material:
    return Material(Path("results"), groups(records), {}, (), records)


def test_the_page_has_the_claims_and_the_budget_where_there_is_any() -> None:
    rng = np.random.default_rng(0)
    plain = trainings({"fd-shapes": scores(1.0, rng, seeds=1)})
    assert budget_section(material(plain)) is None
    kept = [
        record({"fd-shapes": scores(20.0 / (place + 1), rng)[0]}, "lcm", snapshot=share)
        for place, share in enumerate(("1/8", "1/4", "1/2", "1/1"))
    ]
    budget = budget_section(material([*plain, *kept]))
    assert budget is not None
    assert set(budget.files) == {"tables/budget.csv", "figures/quality-budget.svg", "figures/quality-budget.png"}
    lines = list(csv.DictReader(io.StringIO(budget.files["tables/budget.csv"].decode())))
    assert [line["share"] for line in lines] == ["1/8", "1/4", "1/2", "1/1"]
    assert float(lines[0]["value"]) > float(lines[3]["value"])
    claims = claims_section(material(plain))
    assert claims is not None
    table = claims.blocks[0]
    assert isinstance(table, DataTable)
    assert len(table.frame) == len(CLAIMS)
    assert claims_section(material([])) is None


def test_the_same_records_give_the_same_bytes() -> None:
    rng = np.random.default_rng(0)
    kept = [record({"fd-shapes": scores(9.0, rng)[0]}, "lcm", snapshot=share) for share in ("1/8", "1/1")]
    one, two = (budget_section(material(kept)) for _ in range(2))
    assert one is not None
    assert two is not None
    assert one.files == two.files


def test_the_ledger_shows_our_rows_with_their_change() -> None:
    """The paper's distillation loss alone is far worse, and so is ours; the default is what it is held against."""
    found = ablated_rows(table({"default": 10, "d-distill": 30}))
    distill = found["d", "distill"]
    assert distill.changes["fd-shapes"].sign == 1
    assert distill.values["fd-shapes"].record == "add-d-distill-1-n100-" + distill_digest()
    lines = [line for part in table1(found).parts for line in part.lines if line.heads == ("distill",)]
    assert [line.verdict.kind for line in lines] == ["reproduced", "reproduced"]
    assert ablated_rows(trainings({"fd-shapes": np.ones((1, 4))})) == {}


def distill_digest() -> str:
    return record({}, ablation="d-distill").cell.name.rsplit("-", 1)[1]
