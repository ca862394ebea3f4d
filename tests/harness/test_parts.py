"""Small parts of the harness on their own: hashes, numerics, image store, throughput, facts of the real suite."""

from __future__ import annotations

import mmap
import random
from pathlib import Path

import pytest
import torch

from bench import provenance
from bench.errors import FewstepError
from bench.images import ImageStore, ImageWriter
from bench.judging import Prompt
from bench.measure import throughput
from bench.memory import PeakMemory
from bench.numerics import fixed_numerics
from bench.plan import Plan
from bench.record import Cell
from bench.sampling import requests_of
from bench.slices import Slice, SliceLog
from methods.interface import Recipe

PROMPTS = [Prompt(f"{index}", f"text {index}", "all") for index in range(7)]
CELL = Cell("toy", "add", 2, None, 1, 7, "cpu", "float32", 3)


def test_requests_cover_every_prompt_once_with_its_own_seed() -> None:
    slices = requests_of(CELL, PROMPTS, 3)
    assert [len(request.prompts) for request in slices] == [3, 3, 1]
    assert [text for request in slices for text in request.prompts] == [prompt.text for prompt in PROMPTS]
    assert [seed for request in slices for seed in request.seeds] == [1_000_003 + index for index in range(7)]
    singles = requests_of(CELL, PROMPTS, 1)
    assert [request.seeds[0] for request in singles] == [1_000_003 + index for index in range(7)]


@pytest.mark.parametrize(("height", "width"), [(5, 6), (32, 32), (64, 40)], ids=["tiny", "stored", "compressed"])
def test_the_store_is_lossless(tmp_path: Path, height: int, width: int) -> None:
    images = torch.randint(0, 256, (7, 3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    store = ImageStore(tmp_path / "images")
    store.open({"weights": "a"})
    store.write(PROMPTS, images)
    assert torch.equal(store.read(PROMPTS), images)
    assert all(store.has(prompt) for prompt in PROMPTS)


def test_a_damaged_image_is_noticed_when_it_is_read(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    store.write(PROMPTS[:1], torch.full((1, 3, 32, 32), 7, dtype=torch.uint8))
    path = tmp_path / f"{PROMPTS[0].id}.png"
    damaged = bytearray(path.read_bytes())
    damaged[500] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(FewstepError, match="cannot be read as an image"):
        store.read(PROMPTS[:1])


def test_what_goes_wrong_in_the_background_is_raised(tmp_path: Path) -> None:
    images = torch.zeros(7, 3, 4, 4, dtype=torch.uint8)
    store = ImageStore(tmp_path / "never made")
    writer = ImageWriter(store, background=True)
    with pytest.raises(FileNotFoundError), writer:
        writer.write(PROMPTS, images)
    store.open({})
    with ImageWriter(store, background=True) as writer:
        writer.write(PROMPTS, images)
    assert all(store.has(prompt) for prompt in PROMPTS)


def test_images_of_another_source_are_discarded_and_the_same_kept(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    store.open({"weights": "a"})
    store.write(PROMPTS, torch.zeros(7, 3, 4, 4, dtype=torch.uint8))
    assert store.open({"weights": "a"}) == 0
    assert store.has(PROMPTS[0])
    assert store.open({"weights": "b"}) == 7
    assert not store.has(PROMPTS[0])


def test_slices_are_noted_line_by_line_and_a_line_cut_short_is_nothing(tmp_path: Path) -> None:
    log = SliceLog(tmp_path)
    assert log.read() == {}
    first, second, again = Slice(0, 1.5, 5, "x"), Slice(1, 2.0, 2, "y"), Slice(0, 1.25, 5, "x")
    log.add(first)
    log.add(second)
    assert log.read() == {0: first, 1: second}
    path = tmp_path / "slices.jsonl"
    path.write_bytes(path.read_bytes()[:-7])  # killed while it was written
    assert log.read() == {0: first}
    log.add(again)  # the last line of a slice counts
    log.add(second)
    assert log.read() == {0: again, 1: second}


def test_a_folders_hash_follows_content_and_names_and_not_the_place(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "unet").mkdir(parents=True)
        (tmp_path / name / "unet" / "weights").write_text("w")
    a, b = tmp_path / "a", tmp_path / "b"
    assert provenance.folder_hash(a) == provenance.folder_hash(b)
    (b / ".lock").write_text("hidden files do not count")
    assert provenance.folder_hash(a) == provenance.folder_hash(b)
    (b / "unet" / "weights").rename(b / "unet" / "other")
    assert provenance.folder_hash(a) != provenance.folder_hash(b)
    (b / "unet" / "other").rename(b / "unet" / "weights")
    (b / "unet" / "weights").write_text("v")
    assert provenance.folder_hash(a) != provenance.folder_hash(b)


def test_a_folders_hash_sees_through_links(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "weights").write_text("w")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "vae").symlink_to(tmp_path / "shared", target_is_directory=True)
    before = provenance.folder_hash(tmp_path / "folder")
    (tmp_path / "shared" / "weights").write_text("v")
    assert provenance.folder_hash(tmp_path / "folder") != before


def test_plain_data_of_a_recipe() -> None:
    data = provenance.plain(Recipe("Euler", {"shift": 1.5}, timesteps={1: (999,)}))
    assert data["timesteps"] == {"1": [999]}
    assert data["scheduler_config"] == {"shift": 1.5}
    assert data["height"] is None


def test_numerics_are_set_and_given_back() -> None:
    before = (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    try:
        with pytest.raises(RuntimeError, match="boom"):
            _fail_inside()
        assert torch.get_float32_matmul_precision() == "high"
        assert torch.backends.cudnn.allow_tf32
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def _fail_inside() -> None:
    with fixed_numerics("cpu") as facts:
        assert torch.get_float32_matmul_precision() == "highest"
        assert not torch.backends.cudnn.allow_tf32
        assert facts["tf32"] is False
        raise RuntimeError("boom")


def test_throughput_covers_the_rate_of_a_noisy_machine() -> None:
    rng = random.Random(0)
    covered, shrunk, runs = 0, 0, 400
    for _ in range(runs):
        seconds = [0.1 * rng.uniform(0.8, 1.2) for _ in range(20)]
        (rate,) = throughput(seconds, [50] * 20, CELL, {}).quantities
        covered += rate.ci_low <= 500 <= rate.ci_high
        middle, half = (rate.ci_low + rate.ci_high) / 2, (rate.ci_high - rate.ci_low) / 2
        shrunk += abs(500 - middle) <= half / 20**0.5  # divided by the root of n once too often
    # a nominal 95 % with 20 slices (normal, not Student: 93.5 %); four standard errors of 400 runs are 5 points
    assert covered / runs > 0.885
    assert shrunk / runs < 0.885
    assert throughput([], [], CELL, {}).quantities == []
    (single,) = throughput([0.5], [50], CELL, {}).quantities
    assert (single.value, single.ci_low, single.ci_high, single.n) == (100, 100, 100, 1)


def test_peak_memory_sees_what_was_held_and_given_back() -> None:
    memory = PeakMemory("cpu")
    memory.start()
    before = memory.bytes()
    with mmap.mmap(-1, 64 * 2**20) as block:  # from the system: an allocator may have had as much to spare
        block.write(b"1" * len(block))
    assert memory.bytes() - before > 60 * 2**20  # of 64 MiB; pages of other things may have gone meanwhile


def test_the_marks_of_a_cell_make_it_again() -> None:
    from bench.folder import OutFolder
    from tests.harness.tables import INFO

    plan = Plan(INFO, (CELL,), ("brightness",), OutFolder(Path("out"), "toy"), weights={"add": Path("secret/folder")})
    command = plan.command(CELL)
    assert "--methods add --steps 2 --suite toy --limit 7" in command
    assert "--weights add=FOLDER" in command
    assert "secret" not in command
