"""Several images of each prompt: own seeds, own files, records that say which image is of which prompt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.errors import FewstepError
from bench.images import check_prompts
from bench.judging import Prompt, image_seed, images_of
from bench.metrics.collecting import PromptList
from bench.metrics.statistics import mean_interval
from bench.plan import MAX_IMAGES_PER_PROMPT
from bench.record import Cell, Record, read_record, read_records, write_record
from bench.report.frame import groups
from tests.harness.fakes import Control
from tests.harness.test_parts import CELL

Bench = Callable[..., int]
ONE = ("--methods", "add", "--steps", "1", "--metrics", "brightness")


def noise(seed: int) -> tuple[float, ...]:
    return tuple(torch.randn(4, generator=torch.Generator().manual_seed(seed)).tolist())


def test_the_generator_reads_low_bits_only_and_our_seeds_differ_there() -> None:
    assert noise(2**40) == noise(0)  # the trap: a stride above 2^32 would draw the same noise again
    seeds = [image_seed(seed, index, k) for seed in (0, 1, 99) for index in (0, 1, 4999) for k in range(32)]
    assert len({seed % 2**32 for seed in seeds}) == len(seeds)
    assert len({noise(seed) for seed in seeds}) == len(seeds)
    assert image_seed(3, 7) == image_seed(3, 7, 0)


def test_every_image_has_its_own_seed_and_the_first_is_that_of_a_run_with_one(
    toy: Control, bench: Bench, out: Path, tmp_path: Path
) -> None:
    assert bench(*ONE) == 0
    assert bench(*ONE, "--images-per-prompt", "3") == 0
    one, three = sorted(read_records(out / "records"), key=lambda record: record.cell.images_per_prompt)
    files = {path.name: path.read_bytes() for path in (out / "images" / three.cell.name).glob("*.png")}
    assert len(files) == 36
    assert len(set(files.values())) == 36
    for path in (out / "images" / one.cell.name).glob("*.png"):
        assert files[path.name] == path.read_bytes()
    assert "-k3-" in three.cell.name
    assert three.clusters == tuple(index // 3 for index in range(36))
    assert one.clusters == ()
    assert len(three.per_image["brightness"]) == 36
    sizes = [len(request.prompts) for _, request in toy.generated]
    assert sizes == [5, 5, 2] + [5] * 7  # of 36 images the last slice has one


def test_a_run_with_several_resumes_and_is_a_cell_of_its_own(toy: Control, bench: Bench, out: Path) -> None:
    assert bench(*ONE, "--images-per-prompt", "2") == 0
    toy.requests.clear()
    assert bench(*ONE, "--images-per-prompt", "2") == 0
    assert toy.requests == []
    (record,) = read_records(out / "records")
    (group,) = groups([record])
    assert "2 images a prompt" in group.key.title
    assert "--images-per-prompt 2" in record.provenance["command"]


def test_too_many_or_none_are_refused(toy: Control, bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    for count in (0, MAX_IMAGES_PER_PROMPT + 1):
        assert bench(*ONE, "--images-per-prompt", str(count)) == 2
        assert f"--images-per-prompt {count} is out of range; use 1 to 32" in capsys.readouterr().err


def test_cells_with_one_image_keep_their_names() -> None:
    fields = asdict(CELL)
    assert Cell(**fields).name == CELL.name == "add-2-s1-n7-" + CELL.name[-6:]
    del fields["images_per_prompt"]  # as records from before it have it
    assert Cell(**fields) == CELL
    assert replace(CELL, images_per_prompt=2).name != CELL.name


def test_a_record_keeps_its_clusters_and_gives_means_of_prompts(tmp_path: Path) -> None:
    values = {"score": (1.0, 3.0, 5.0, 9.0), "slices": (1.0, 2.0)}
    record = Record(CELL, "ok", None, (), values, {}, {}, clusters=(0, 0, 1, 1))
    read = read_record(write_record(record, tmp_path))
    assert read.clusters == (0, 0, 1, 1)
    assert read.per_prompt("score") == (2.0, 7.0)
    assert read.per_prompt("slices") == (1.0, 2.0)
    assert replace(record, clusters=()).per_prompt("score") == values["score"]


def test_intervals_go_over_prompts_because_images_of_a_prompt_agree() -> None:
    rng = np.random.default_rng(0)
    prompts = [Prompt(f"{index:05}", "text", "all") for index in range(40)]
    covered, over_images = 0, 0
    for _ in range(400):
        centres = rng.normal(size=40)
        values = np.repeat(centres, 5) + 0.3 * rng.normal(size=200)
        known = PromptList()
        known.add(images_of(prompts, 5), 200)
        right, wrong = known.mean_interval(values), mean_interval(values)
        assert right.value == pytest.approx(wrong.value, abs=1e-12)
        assert right.n == 200
        covered += right.low <= 0 <= right.high
        over_images += wrong.low <= 0 <= wrong.high
    # nominal 95 %; four standard errors of 400 repetitions are 4.4 points
    assert covered / 400 > 0.906
    assert over_images / 400 < 0.75  # the wrong version: images as if they were independent


def test_file_names_of_samples_must_not_meet_other_ids() -> None:
    prompts = [Prompt("a", "x", "all"), Prompt("a.1", "y", "all")]
    check_prompts(prompts)
    with pytest.raises(FewstepError, match=r"'a\.1' is there twice"):
        check_prompts(images_of(prompts, 2))
