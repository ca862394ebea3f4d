"""The table as data: complete, consistent with the methods there are, and honest about what was not confirmed."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from bench.record import Cell
from bench.report.frame import label
from methods.checkpoints.families import FAMILIES
from methods.checkpoints.table import Checkpoint, all_rows, check_family, find, rows
from methods.errors import UsageError
from methods.recipes import recipe_from_json, recipe_to_json
from methods.registry import METHODS, is_released
from tests.released.rows import name_of

ROWS = all_rows()
PICKLES = (".bin", ".ckpt", ".pt", ".pth")


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_a_row_is_whole(row: Checkpoint) -> None:
    assert row.family in FAMILIES
    assert row.method in METHODS.names()
    assert row.title
    assert row.paper
    assert row.licence
    assert row.source
    assert row.arxiv is None or re.fullmatch(r"\d{4}\.\d{5}", row.arxiv)
    assert row.repo is None or re.fullmatch(r"[\w.-]+/[\w.-]+", row.repo)
    assert row.repo is not None or "No public weights" in row.note
    assert row.revision is None or re.fullmatch(r"[0-9a-f]{40}", row.revision)
    assert (row.base is None) == (row.kind == "pipeline") or row.repo is None
    assert (row.kind == "lora") == (row.recipe.lora_scale is not None)
    assert row.pickle == bool(row.filename and row.filename.endswith(PICKLES))
    fewest, most = row.recipe.allowed_steps
    assert all(fewest <= count <= most for count in row.steps)
    low, high = row.recipe.guidance_range or (row.recipe.guidance_scale,) * 2
    assert low <= row.recipe.guidance_scale <= high
    assert row.recipe.vae_dtype == ("float32" if row.family == "sdxl" and row.repo else None)


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_a_recipe_of_the_table_can_be_written_and_read(row: Checkpoint) -> None:
    stored = json.loads(json.dumps(recipe_to_json(row.recipe)))
    assert recipe_from_json(stored) == row.recipe


def test_no_two_rows_answer_for_the_same_step_count() -> None:
    places = [(row.method, row.family, count) for row in ROWS for count in row.steps]
    assert len(places) == len(set(places))


def test_every_method_of_released_weights_has_a_row_and_every_row_a_method() -> None:
    listed = {name for name in METHODS.names() if METHODS.entry(name).source is None}
    assert {row.method for row in ROWS} == listed
    assert {name for name in listed if is_released(name)} == listed - {
        "sdxl", "sdxl-euler", "sdxl-ddim", "sdxl-dpm", "sdxl-dpmpp", "sdxl-unipc", "lcm", "lcm-lora", "pd", "add",
        "dmd2", "instaflow", "gd", "cfg-aware", "ufogen", "gan",
    }  # fmt: skip


def test_one_pickle_is_named_and_no_other() -> None:
    assert [(row.method, row.filename) for row in ROWS if row.pickle] == [("dmd2", "dmd2_sdxl_1step_unet_fp16.bin")]


def test_three_models_are_listed_and_not_run() -> None:
    assert {row.method for row in ROWS if not row.runs} == {"flux2-klein", "z-image-turbo", "qwen-lightning"}


def test_both_turbo_samplers_have_the_same_weights() -> None:
    for family in ("sdxl", "sd21"):
        trailing, demo = find("add", family), find("add-demo", family)
        assert (trailing.repo, trailing.revision, trailing.steps) == (demo.repo, demo.revision, demo.steps)
        assert trailing.recipe != demo.recipe


@pytest.mark.parametrize(
    ("method", "steps", "filename"),
    [
        ("lightning", 1, "sdxl_lightning_1step_unet_x0.safetensors"),
        ("lightning", 8, "sdxl_lightning_8step_unet.safetensors"),
        ("hyper-sd", 1, "Hyper-SDXL-1step-Unet.safetensors"),
        ("hyper-sd", 2, "Hyper-SDXL-2steps-lora.safetensors"),
        ("dmd2", 1, "dmd2_sdxl_1step_unet_fp16.bin"),
        ("dmd2", 4, "dmd2_sdxl_4step_unet_fp16.safetensors"),
        ("dmd2", 3, "dmd2_sdxl_4step_unet_fp16.safetensors"),
    ],
)
def test_the_row_of_a_step_count(method: str, steps: int, filename: str) -> None:
    assert find(method, "sdxl", steps).filename == filename


def test_names_that_are_not_there() -> None:
    with pytest.raises(UsageError, match="'sdlx' is not known; did you mean 'sdxl'"):
        check_family("sdlx")
    with pytest.raises(UsageError, match="'dmd2' has no checkpoint of family 'sd15'; it has sdxl"):
        find("dmd2", "sd15")
    with pytest.raises(
        UsageError, match="'mine' has no released checkpoint in the table; family 'sana' has sana-sprint"
    ):
        find("mine", "sana")
    assert rows("add", "sd15")[0].repo is None


def test_what_nobody_published_says_so() -> None:
    assert {(row.method, row.family) for row in ROWS if row.repo is None} == {
        ("add", "sd15"), ("pd", "sdxl"), ("ufogen", "sd15"), ("cfg-aware", "sd15"), ("gd", "sd15"),
        ("gan", "gan"),
    }  # fmt: skip


def test_names_that_are_trained_here_too_are_told_apart_by_their_family() -> None:
    both = {row.method for row in ROWS if not is_released(row.method)}
    assert both >= {"add", "lcm", "lcm-lora", "pd", "dmd2", "instaflow"}
    here = Cell("toy", "dmd2", 4, None, 0, 2, "cpu", "float32", 2)
    there = replace(here, family="sdxl")
    assert here.name != there.name
    assert (label(here), label(there)) == ("dmd2", "dmd2@sdxl")
    assert find("dmd2", "sdxl", 4).recipe != METHODS.load("dmd2").default_recipe


def test_a_row_cannot_be_changed() -> None:
    row = find("add", "sdxl")
    assert replace(row, gated=True) != row
    with pytest.raises(AttributeError):
        row.gated = True  # type: ignore[misc]
