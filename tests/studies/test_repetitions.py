"""Further training seeds of a student, what is kept on its way, and pipelines of both, from a random teacher."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from rich.console import Console

from bench.errors import UsageError, WeightsError
from bench.record import Record
from bench.studies import bakeoff, budget
from bench.studies.ablate import Places
from bench.studies.bakeoff import bake_off, cell_of
from bench.studies.budget import Spent, measure_budget, spent_at
from bench.suites.shapes.training import command
from bench.suites.shapes.training.assemble import assemble
from bench.suites.shapes.training.command import STAGES
from bench.suites.shapes.training.seeds import SEEDED, workshop
from bench.suites.shapes.training.students import (
    add,
    common,
    gan,
    instaflow,
    lcm_lora,
    pairs,
    progressive,
    start,
    ufogen,
)
from bench.training.workshop import SNAPSHOTS, Workshop
from tests.training.test_method_stages import SHORT, shop_with_eye

BATCH = SHORT["batch_size"]
STEPS = 8
LEAD = 2


@pytest.fixture(scope="module")
def quick() -> Iterator[pytest.MonkeyPatch]:
    """Every training a few steps of four images, every sheet two prompts."""
    with pytest.MonkeyPatch.context() as patch:
        eight = {**SHORT, "steps": STEPS}
        patch.setattr(add, "ADD", replace(add.ADD, **eight))
        patch.setattr(add, "ADD_RECIPE", replace(add.ADD_RECIPE, discriminator_lead=LEAD))
        patch.setattr(start, "START", replace(start.START, **SHORT))
        patch.setattr(lcm_lora, "LCM_LORA", replace(lcm_lora.LCM_LORA, **eight))
        patch.setattr(progressive, "PD", replace(progressive.PD, **SHORT))
        patch.setattr(progressive, "PD_STEPS", {16: 1, 8: 1, 4: 1, 2: 1, 1: STEPS})
        patch.setattr(ufogen, "UFOGEN", replace(ufogen.UFOGEN, **eight))
        patch.setattr(ufogen, "UFOGEN_RECIPE", replace(ufogen.UFOGEN_RECIPE, discriminator_lead=LEAD))
        few = replace(instaflow.INSTAFLOW_RECIPE, pairs=20, teacher_steps=2, flow_steps=2)
        patch.setattr(instaflow, "INSTAFLOW_RECIPE", few)
        patch.setattr(instaflow, "REFLOW", replace(instaflow.REFLOW, **SHORT))
        patch.setattr(instaflow, "DISTILL", replace(instaflow.DISTILL, **eight))
        patch.setattr(pairs, "PART", 8)
        patch.setattr(common, "_SAMPLES", 2)
        patch.setattr(budget, "PROMPTS", 4)
        patch.setattr(budget, "METRICS", ("clip-shapes",))
        yield patch


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, quick: pytest.MonkeyPatch) -> Workshop:
    """Seed 1 of five methods, and of what two of them begin with."""
    shop_with_eye(folder := tmp_path_factory.mktemp("shop"))
    shop = workshop(folder, Console(quiet=True), 1)
    for name in ("start", "ufogen", "add", "lcm-lora", "pd", "instaflow"):
        STAGES[name].train(shop)
    return shop


def test_a_repetition_has_a_folder_of_its_own_and_shares_the_rest(shop: Workshop) -> None:
    assert shop.stage("pd/2to1") == shop.folder / "seed-1" / "pd" / "2to1"
    assert shop.stage("teacher") == shop.folder / "teacher"
    assert not (shop.folder / "add").exists()
    assert (shop.folder / "instaflow" / "pairs").is_dir()  # pairs are data, the same for every seed


def test_another_seed_is_another_student(shop: Workshop) -> None:
    other = workshop(shop.folder, shop.console, 2)
    STAGES["start"].train(other)
    STAGES["ufogen"].train(other)
    one, two = shop.weights("ufogen"), other.weights("ufogen")
    assert any(not torch.equal(one[key], two[key]) for key in one)
    (shop.folder / "seed-2" / "ufogen" / "made.json").unlink()
    for path in (shop.folder / "seed-2" / "ufogen").glob("*.safetensors"):
        path.unlink()
    STAGES["ufogen"].train(other)
    again = other.weights("ufogen")
    assert all(torch.equal(again[key], two[key]) for key in two)


def test_seed_nought_is_the_training_that_there_always_was() -> None:
    plain = Workshop(Path("somewhere"), Console(quiet=True))
    assert plain.seeded(ufogen.UFOGEN) == ufogen.UFOGEN
    assert workshop(Path("somewhere"), Console(quiet=True), 0).stage("add") == plain.stage("add")


def test_seeds_of_repetitions_never_meet() -> None:
    """Seeds of all stages lie within one stride, those of the rounds of progressive distillation too."""
    seeds = [add.ADD.seed, start.START.seed, progressive.PD.seed + 16, gan.GAN.seed]
    assert max(seeds) < 1000


@pytest.mark.parametrize("targets", [["teacher"], ["eye", "add"]])
def test_what_is_trained_once_has_no_seed(targets: list[str]) -> None:
    args = SimpleNamespace(
        out=Path("nowhere"), list=False, targets=targets, processes=1, threads=None, no_limit=False, seed=1
    )
    with pytest.raises(UsageError, match="is trained once"):
        command.main(args)  # type: ignore[arg-type]


def test_every_student_can_be_repeated() -> None:
    assert set(STAGES) >= SEEDED
    assert all("teacher" in command.ordered([name]) for name in SEEDED)


@pytest.mark.parametrize("checkpoint", ["add", "lcm-lora", "pd-1", "instaflow"])
def test_a_student_is_kept_at_every_share_and_the_last_is_the_finished_one(shop: Workshop, checkpoint: str) -> None:
    from bench.suites.shapes.training.pack import stage_of_checkpoint

    stage = stage_of_checkpoint(checkpoint)
    assert [shop.snapshot(stage, share).exists() for share in SNAPSHOTS][-1]
    folders = [assemble(shop, checkpoint, share) for share in ("1/2", "1/1")]
    assert folders[0] != folders[1]
    whole = assemble(shop, checkpoint)
    names = [path.relative_to(whole) for path in whole.rglob("*.safetensors")]
    assert names
    assert all((folders[1] / name).read_bytes() == (whole / name).read_bytes() for name in names)


def test_an_assembled_student_is_an_ordinary_pipeline(shop: Workshop) -> None:
    pipe = StableDiffusionXLPipeline.from_pretrained(assemble(shop, "add"))
    assert pipe.unet.config.in_channels == 8


def test_what_was_not_trained_is_named_with_its_command(shop: Workshop) -> None:
    with pytest.raises(WeightsError, match=r"bench train dmd2-4 --out \S+ --seed 1"):
        assemble(shop, "dmd2-4")


def test_currencies_count_what_came_before_in_full(shop: Workshop) -> None:
    """What ADD and UFOGen begin with, InstaFlow's pairs and reflow, the earlier rounds of progressive distillation."""
    lead, half, whole = (spent_at(shop, "add", share) for share in ("1/8", "1/2", "1/1"))
    before = SHORT["steps"] * BATCH
    learned = [round((item.images - before) / BATCH) for item in (lead, half, whole)]
    assert learned == [0, STEPS // 2 - LEAD, STEPS - LEAD]  # nothing in the discriminator's lead
    no_teacher = spent_at(shop, "ufogen", "1/1")
    assert (no_teacher.images, no_teacher.teacher_evaluations) == (whole.images, 2 * before)
    assert half.teacher_evaluations == pytest.approx(2 * half.images)
    assert 0 < lead.seconds < half.seconds < whole.seconds
    eighth, all_of_it = (spent_at(shop, "pd-1", share) for share in ("1/8", "1/1"))
    assert (eighth.images, all_of_it.images) == (4 * BATCH + BATCH, 4 * BATCH + STEPS * BATCH)
    early, late = (spent_at(shop, "instaflow", share) for share in ("1/8", "1/1"))
    assert early.teacher_evaluations == late.teacher_evaluations == 20 * (2 * 2 + 2)
    assert late.images - early.images == 7 / 8 * STEPS * BATCH
    assert early.images == SHORT["steps"] * BATCH + BATCH
    quarter, all_steps = (spent_at(shop, "lcm-lora", share) for share in ("1/4", "1/1"))
    assert quarter == Spent(quarter.seconds, STEPS * BATCH / 4, 2 * STEPS * BATCH / 4)
    assert 0 < quarter.seconds < all_steps.seconds


def test_every_share_becomes_a_record(shop: Workshop, tmp_path: Path) -> None:
    places = Places(shop.folder, tmp_path / "out")
    made: list[Record] = list(measure_budget(["lcm-lora", "gd"], (1,), places, Console(quiet=True)))
    assert [item.cell.snapshot for item in made] == list(SNAPSHOTS)
    assert all(item.status == "ok" and item.cell.train_seed == 1 for item in made)
    images = [item.provenance["training"]["images"] for item in made]
    assert images == [STEPS * BATCH / 8, STEPS * BATCH / 4, STEPS * BATCH / 2, STEPS * BATCH]


def test_the_bakeoff_measures_a_repetition_and_leaves_what_is_there(shop: Workshop, tmp_path: Path) -> None:
    from bench.claims.contenders import Asked

    class Few(Asked):
        prompts = 4  # type: ignore[assignment]
        metrics = ("clip-shapes",)  # type: ignore[assignment]

    places = Places(shop.folder, tmp_path / "out")
    wanted = [Few("lcm-lora", 4, 1), Few("lcm-lora", 1, 1)]
    made = list(bake_off(wanted, places, Console(quiet=True)))
    assert [item.status for item in made] == ["ok", "ok"]
    assert made[0].provenance["training"]["images"] == STEPS * BATCH
    assert made[0].provenance["command"] == "python -m bench bakeoff lcm-lora --seeds 2"
    before = {path: path.stat().st_mtime_ns for path in places.out.glob("records/*")}
    assert [item.cell for item in bake_off(wanted, places, Console(quiet=True))] == [item.cell for item in made]
    assert {path: path.stat().st_mtime_ns for path in places.out.glob("records/*")} == before


def test_what_the_package_ships_is_an_ordinary_cell() -> None:
    from bench.claims.contenders import Asked

    assert cell_of(Asked("add", 1, 0)).name == "add-1-n1000-1372ba"  # as in the stored records
    assert bakeoff._checkpoint(Asked("add", 1, 0)) is None
    assert bakeoff._checkpoint(Asked("add", 1, 1)) == "add"
    assert bakeoff._checkpoint(Asked("sdxl-euler", 25, 0)) is None
