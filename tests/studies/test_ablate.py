"""Rows of the ablations, trained from random teachers in two steps and measured by the runner on a few prompts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from bench.claims.ablations import ROWS, rows_of
from bench.claims.judge import rows_of as rows_of_record
from bench.record import Record, read_records
from bench.studies import ablate as study
from bench.studies.ablate import Places, Run, ablate, runs
from bench.studies.trainings import seeded_shop
from bench.suites.shapes.generator.networks import make_unet
from bench.suites.shapes.training.second_teacher import SECOND, SECOND_WIDTHS
from bench.suites.shapes.training.students import ablation, common
from bench.suites.shapes.training.students import start as beginning
from bench.suites.shapes.training.students.ablation import Variant, train_variant, variant
from bench.training.lock import held
from bench.training.workshop import MADE, WEIGHTS, Workshop
from methods.distill.checkpoint import CHECKPOINT
from methods.distill.loop import TrainingDiverged
from tests.training.test_student_stages import finish_eyes, new_shop

PROMPTS = 6
STEPS, BATCH = 3, 8
SEEDS = (1,)


@pytest.fixture(scope="module")
def quick() -> Iterator[pytest.MonkeyPatch]:
    """Every training three steps of eight images, every measurement two scores of six prompts."""
    short = {"steps": STEPS, "batch_size": BATCH, "warmup_steps": 1, "checkpoint_every": 1}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ablation, "ABLATION", replace(ablation.ABLATION, **short))
        patch.setattr(ablation, "ABLATION_START", replace(ablation.ABLATION_START, **short))
        patch.setattr(ablation, "ABLATION_RECIPE", replace(ablation.ABLATION_RECIPE, discriminator_lead=0))
        patch.setattr(common, "_SAMPLES", 2)
        patch.setattr(study, "PROMPTS", PROMPTS)
        patch.setattr(study, "METRICS", ("clip-shapes", "attributes"))
        yield patch


def training_folder(folder: Path) -> Path:
    """Random teachers of both sizes and random feature networks."""
    shop = new_shop(folder)
    finish_eyes(shop)
    shop.finish(SECOND, make_unet(SECOND_WIDTHS).state_dict(), {})
    return folder


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    return Places(training_folder(tmp_path_factory.mktemp("training")), tmp_path_factory.mktemp("records"))


CHOSEN = tuple(row for row in ROWS if row.name in ("c-random", "d-distill", "d-adv", "e-small-large"))


@pytest.fixture(scope="module")
def records(places: Places, quick: pytest.MonkeyPatch) -> tuple[Record, ...]:
    return tuple(ablate(CHOSEN, SEEDS, places, Console(quiet=True)))


def test_each_distinct_row_is_trained_once_a_seed(records: tuple[Record, ...]) -> None:
    assert [(item.cell.ablation, item.cell.train_seed) for item in records] == [
        (name, 1) for name in ("default", "c-random", "d-adv", "d-distill", "e-small-large")
    ]
    assert all(item.status == "ok" for item in records)


def test_a_record_says_what_was_trained_and_what_it_took(records: tuple[Record, ...]) -> None:
    by_row = {str(item.cell.ablation): item for item in records}
    about = {name: item.provenance["training"] for name, item in by_row.items()}
    images, start = STEPS * BATCH, STEPS * BATCH
    assert {name: facts["images"] for name, facts in about.items()} == {
        "default": images + start, "c-random": images, "d-adv": images + start, "d-distill": images + start,
        "e-small-large": images + start,
    }  # fmt: skip
    assert about["default"]["teacher_evaluations"] == 2 * images + 2 * start
    assert about["d-adv"]["teacher_evaluations"] == 2 * start
    assert about["c-random"]["teacher_evaluations"] == 2 * images
    assert all(facts["seconds"] > 0 and facts["seed"] == 1 for facts in about.values())
    assert about["d-distill"]["variant"]["recipe"]["adversarial_weight"] == 0.0
    assert by_row["d-distill"].provenance["command"] == "python -m bench ablate d"


def test_the_default_stands_for_every_row_that_changes_nothing(records: tuple[Record, ...]) -> None:
    standing = rows_of_record(records[0])
    assert {"default", "a-default", "c-pretrained", "d-exponential", "e-large-large", "f-1"} <= set(standing)
    assert not {"c-random", "d-adv", "f-2"} & set(standing)


def test_images_keep_few_digits_and_only_what_is_compared(records: tuple[Record, ...]) -> None:
    assert all(set(item.per_image) == {"clip-shapes"} for item in records)
    assert all(len(item.per_image["clip-shapes"]) == PROMPTS for item in records)
    assert all(value == float(f"{value:.6g}") for item in records for value in item.per_image["clip-shapes"])
    assert all(item.quantity("attributes") is not None for item in records)


def test_rows_are_students_of_their_own(records: tuple[Record, ...]) -> None:
    assert len({item.provenance["weights"] for item in records}) == len(records)


def test_a_finished_table_is_read_and_not_made_again(
    records: tuple[Record, ...], places: Places, quick: pytest.MonkeyPatch
) -> None:
    before = {path: path.stat().st_mtime_ns for path in places.out.glob("records/*.json")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Workshop, "run", None)  # nothing may be trained
        again = tuple(ablate(CHOSEN, SEEDS, places, Console(quiet=True)))
    assert {path: path.stat().st_mtime_ns for path in places.out.glob("records/*.json")} == before
    assert [item.cell for item in again] == [item.cell for item in records]
    assert len(list(read_records(places.out / "records"))) == len(records)


def test_no_checkpoint_and_no_sheet_is_left(records: tuple[Record, ...], places: Places) -> None:
    assert list(places.training.rglob(CHECKPOINT)) == []
    assert list(places.out.glob("sheets/*")) == []


def test_a_row_stopped_in_the_middle_goes_on_bit_for_bit(
    records: tuple[Record, ...], places: Places, quick: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = next(item for item in runs(CHOSEN) if item.name == "d-distill")
    whole = seeded_shop(places.training, Console(quiet=True), 1)
    stopped = seeded_shop(training_folder(tmp_path), Console(quiet=True), 1)
    steps: list[int] = []

    class Stops(common.Conditioned):
        def __call__(self, step: int) -> Mapping[str, object]:
            steps.append(step)
            if len(steps) == STEPS + 2:  # the start is done, and a step of the game
                raise KeyboardInterrupt
            return super().__call__(step)

    with pytest.MonkeyPatch.context() as patch:
        for module in (beginning, ablation):
            patch.setattr(module, "Conditioned", Stops)
        with pytest.raises(KeyboardInterrupt):
            train_variant(stopped, run.variant)
        assert (stopped.stage(run.variant.stage) / CHECKPOINT).exists()
        train_variant(stopped, run.variant)
    assert steps == [0, 1, 2, 0, 1, 1, 2]
    mine, theirs = stopped.weights(run.variant.stage), whole.weights(run.variant.stage)
    assert all(torch.equal(mine[key], theirs[key]) for key in theirs)


def test_a_row_that_another_process_is_at_is_left_to_the_end(
    records: tuple[Record, ...], places: Places, quick: pytest.MonkeyPatch
) -> None:
    first = runs(CHOSEN)[0]
    shop = seeded_shop(places.training, Console(quiet=True), 1)
    iterator = ablate(CHOSEN, SEEDS, places, Console(quiet=True))
    with held(shop.stage(first.variant.stage) / "lock", wait=True):
        early = [next(iterator).cell.ablation for _ in range(len(CHOSEN))]
    assert early == ["c-random", "d-adv", "d-distill", "e-small-large"]
    assert [item.cell.ablation for item in iterator] == ["default"]


def test_a_row_that_diverges_is_a_failed_record_and_the_others_go_on(
    records: tuple[Record, ...], places: Places, quick: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def diverges(shop: Workshop, it: Variant) -> dict[str, object]:
        if not it.recipe.adversarial_weight:
            raise TrainingDiverged("step 2, batch 2, network 'student': distill is nan")
        return train_variant(shop, it)

    elsewhere = Places(places.training, tmp_path / "out")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "train_variant", diverges)
        made = {item.cell.ablation: item for item in ablate(CHOSEN[1:3], SEEDS, elsewhere, Console(quiet=True))}
    assert {name: item.status for name, item in made.items()} == {"default": "ok", "d-adv": "ok", "d-distill": "failed"}
    assert "distill is nan" in str(made["d-distill"].reason)
    assert len(list(read_records(elsewhere.out / "records"))) == 3


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    with held(tmp_path / "lock", wait=True) as mine:
        assert mine
        with held(tmp_path / "lock", wait=False) as also:
            assert not also
    with held(tmp_path / "lock", wait=False) as again:
        assert again


def test_another_recipe_is_another_training() -> None:
    """A folder of a row belongs to everything that makes its student: nothing stale is taken for it."""
    names = {run.variant.stage for run in runs(rows_of(()))}
    assert len(names) == len(runs(rows_of(())))
    changed = variant({"student_rate": 1e-4}, "pretrained", "teacher", "teacher")
    assert changed.stage not in names


def test_rows_of_a_seed_share_the_student_they_start_as() -> None:
    by_name: dict[str, Run] = {run.name: run for run in runs(rows_of(()))}
    start = by_name["default"].variant.start_stage
    assert start is not None
    assert by_name["d-distill"].variant.start_stage == start
    assert by_name["c-random"].variant.start_stage is None
    others = {by_name[name].variant.start_stage for name in ("e-small-small", "e-small-large", "e-large-small")}
    assert len(others | {start}) == 2  # one for each size of a student


def test_a_small_student_is_a_small_pipeline(records: tuple[Record, ...], places: Places) -> None:
    shop = seeded_shop(places.training, Console(quiet=True), 1)
    run = next(item for item in runs(CHOSEN) if item.name == "e-small-large")
    small = shop.weights(run.variant.stage)
    assert len(small["conv_in.weight"]) == SECOND_WIDTHS[0]
    note = json.loads((shop.stage(run.variant.stage) / MADE).read_text(encoding="utf-8"))
    assert note["variant"]["student"] == SECOND
    assert (shop.stage(run.variant.stage) / WEIGHTS).stat().st_size < 6e6
