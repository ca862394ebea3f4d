"""Every row of the table from the hub to a record: fetched, loaded, guarded, sampled, and what the denoiser saw."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import close_session

from bench import runner
from bench.cli import main
from bench.record import Record, read_records
from methods.bases import Bases
from methods.checkpoints import table
from methods.checkpoints.families import FAMILIES
from methods.checkpoints.spacing import expected_timesteps
from methods.checkpoints.table import Checkpoint, find
from methods.hub import hashes, lock, transfer
from methods.registry import METHODS
from tests.harness import fakes, tables
from tests.hub.hub import FakeHub
from tests.hub.original import write_original
from tests.released.publish import DECOYS, publish
from tests.released.rows import RUNNING, Folders, small
from tests.released.test_rows import Watch, fed
from tests.released.test_spacing import CARDS

PRESCRIBED = {(method, family, steps): timesteps for method, family, steps, timesteps in CARDS}
BASELINES = ("sdxl", "sd15", "sd21")


@dataclass
class World:
    """A hub with every row of the table, and caches that are filled from it."""

    hub: FakeHub
    caches: Path


@pytest.fixture(scope="module")
def world(folders: Folders, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The hub answers; everything is fetched into one cache for the whole module."""
    root, hub = tmp_path_factory.mktemp("world"), FakeHub()
    rows = tuple(small(row) if row.runs else row for row in table.all_rows())
    publish(hub, RUNNING, folders, root / "bases")
    address, server = hub.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "all_rows", lambda: rows)
        patch.setenv("FEWSTEP_CACHE", str(root / "fewstep"))
        patch.setattr(constants, "HF_HUB_CACHE", str(root / "hub"))
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(constants, "ENDPOINT", address)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
        hashes.forget()
        yield World(hub, root / "hub")
    close_session()
    server.shutdown()
    server.server_close()


Bench = Callable[..., int]


@pytest.fixture
def bench(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bench]:
    """`bench run` of the real methods on the toy suite, without a network."""
    import methods.registry

    tables.install(monkeypatch)
    monkeypatch.setattr(methods.registry, "METHODS", METHODS)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    fakes.reset()

    def run(*options: str) -> int:
        fixed = ["--suite", "toy", "--device", "cpu", "--limit", "2", "--batch-size", "2", "--metrics", "brightness"]
        return main(["run", *fixed, "--out", str(tmp_path / "out"), *options])

    yield run
    fakes.reset()


def fetched(family: str, methods: Iterable[str]) -> None:
    assert main(["fetch", "--methods", ",".join(methods), "--family", family]) == 0


def watches(monkeypatch: pytest.MonkeyPatch) -> dict[str, Watch]:
    """What the denoiser of each row is called with, whoever calls it."""
    found: dict[str, Watch] = {}
    hooks: list[Any] = []
    load = runner.load_row

    def load_and_watch(cell: Any, *args: Any) -> Any:
        for hook in hooks:  # the next row may have the very same network
            hook.remove()
        method = load(cell, *args)
        watch = found[runner.row_of(cell).name] = Watch()
        hooks.append(method.components["denoiser"].register_forward_pre_hook(watch, with_kwargs=True))
        return method

    monkeypatch.setattr(runner, "load_row", load_and_watch)
    return found


def prescribed(row: Checkpoint, steps: int) -> list[float] | None:
    """The card's timesteps as the denoiser is given them; None where no card says."""
    numbers = PRESCRIBED.get((row.method, row.family, steps))
    if numbers is None:
        numbers = expected_timesteps(row.recipe, steps, down_to_zero=FAMILIES[row.family].gives_sigmas)
    return None if numbers is None else fed(row, numbers)


def evaluations(row: Checkpoint, steps: int) -> int:
    guided = row.recipe.guidance == "classifier-free" and row.recipe.guidance_scale > 1
    return (2 if guided else 1) * (steps + (row.recipe.scheduler == "PNDMScheduler"))


def runs_of(family: str, rows: Sequence[Checkpoint]) -> dict[int, list[str]]:
    """Step count -> methods: each row at the count that it is published for first, undistilled models at 4."""
    found: dict[int, list[str]] = {}
    for row in sorted(rows, key=lambda row: (row.kind != "pipeline", row.kind, row.method)):  # a base is loaded once
        steps = 4 if row.method.startswith(BASELINES) else row.steps[0]
        found.setdefault(steps, []).append(row.method)
    return found


def follow(
    family: str, rows: Sequence[Checkpoint], world: World, bench: Bench, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Fetch `rows` from the hub, then run them without a network, and look at every record."""
    with monkeypatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        fetched(family, dict.fromkeys(row.method for row in rows))
    told = capsys.readouterr().out
    assert "to fetch: " in told
    assert not any(world.hub.fetched(name) for name in (*DECOYS, "safety_checker"))
    for steps, methods in runs_of(family, rows).items():
        with monkeypatch.context() as patch:
            watched = watches(patch)
            assert bench("--family", family, "--methods", ",".join(methods), "--steps", str(steps)) == 0
        assert "unexpected results" not in capsys.readouterr().err
        for method in methods:
            row = find(method, family, steps)
            check(row, steps, watched[row.name].timesteps, record_of(tmp_path, method, steps), told)


ONE_OF_EACH = {
    "sdxl": [("add", 1), ("lcm", 4), ("lcm-lora", 4), ("tcd", 4), ("lightning", 1), ("dmd2", 1), ("dmd2", 4)],
    "sd15": [("lcm", 4), ("instaflow", 1), ("sd15-unipc", 50)],
    "sd21": [("add", 4)],
    "sd35": [("ladd", 4)],
    "flux": [("flux-schnell", 4)],
    "sana": [("sana-sprint", 2)],
}
"""A pipeline, a UNet as a folder, as a file and as a pickle, LoRAs of two kinds, shards, foreign pipeline classes."""


@pytest.mark.parametrize("family", ONE_OF_EACH)
def test_a_row_of_each_layout_from_the_hub_to_a_record(
    family: str, world: World, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    rows = [find(method, family, steps) for method, steps in ONE_OF_EACH[family]]
    follow(family, rows, world, bench, tmp_path, monkeypatch, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("family", ONE_OF_EACH)
def test_every_row_from_the_hub_to_a_record(
    family: str, world: World, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    rows = [row for row in RUNNING if row.family == family]
    follow(family, rows, world, bench, tmp_path, monkeypatch, capsys)


def check(row: Checkpoint, steps: int, seen: list[float], record: Record, told: str) -> None:
    """The record of one row, and what its denoiser was called with."""
    assert (record.status, record.provenance["off_recipe"]) == ("ok", [])
    nfe = record.quantity("nfe")
    assert nfe is not None
    assert nfe.value == evaluations(row, steps)
    expected = prescribed(row, steps)
    if expected is not None:
        assert len(seen) % steps == 0
        for start in range(0, len(seen), steps):
            assert seen[start : start + steps] == pytest.approx(expected, rel=1e-5), row.name  # float32
    sources = {source["repo"]: source for source in record.provenance["sources"]}
    assert set(sources) == {row.repo, row.base} - {None}
    own = sources[str(row.repo)]
    assert own["commit"] == lock.locked_commit(str(row.repo), row.revision or "main")
    assert row.revision in (None, own["commit"])
    assert all(f"{digest}  {row.repo}@{own['commit'][:12]}/{name}" in told for name, digest in own["files"].items())


def record_of(tmp_path: Path, method: str, steps: int) -> Record:
    (record,) = (
        record
        for record in read_records(tmp_path / "out/records")
        if (record.cell.method, record.cell.num_inference_steps) == (method, steps)
    )
    return record


def test_loras_of_one_base_are_switched_without_loading_it_again(
    world: World, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    together = "lcm-lora,lightning-lora,hyper-sd,tcd,sdxl-euler"
    with monkeypatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        fetched("sdxl", together.split(","))
    bases: list[Bases] = []
    keep = Bases.keep
    monkeypatch.setattr(Bases, "keep", lambda self, *args: bases.append(self) or keep(self, *args))  # type: ignore[func-returns-value]
    capsys.readouterr()
    assert bench("--family", "sdxl", "--methods", together, "--steps", "4") == 0
    assert len(bases) == 1
    err = capsys.readouterr().err
    assert "lcm-lora@sdxl (2,4,8): stabilityai/stable-diffusion-xl-base-1.0@" in err
    assert "+ latent-consistency/lcm-lora-sdxl/pytorch_lora_weights.safetensors@" in err
    shared = {record.cell.method: record for record in read_records(tmp_path / "out/records")}
    images = {name: (tmp_path / "out/images" / shared[name].cell.name) for name in shared}
    assert all(folder.is_dir() for folder in images.values())
    hashes_of = {name: image_bytes(folder) for name, folder in images.items()}
    assert len(set(hashes_of.values())) == len(hashes_of)
    for name in ("tcd", "sdxl-euler"):  # alone: nothing was held before
        assert bench("--family", "sdxl", "--methods", name, "--steps", "4", "--force") == 0
        assert image_bytes(images[name]) == hashes_of[name]


def image_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*.png")))


def test_a_whole_pipeline_in_one_file_gives_the_images_of_the_folder_that_it_was_made_of(
    world: World, bench: Bench, folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        fetched("sdxl", ["add"])
    images = []
    path = write_original(folders.folder(find("add", "sdxl")), tmp_path / "sd_xl_turbo_1.0_fp16.safetensors")
    for weights in ((), ("--weights", f"add={path}")):
        assert bench("--family", "sdxl", "--methods", "add", "--steps", "1", "--force", *weights) == 0
        record = record_of(tmp_path, "add", 1)
        assert (record.status, record.provenance["off_recipe"]) == ("ok", [])
        images.append(image_bytes(tmp_path / "out/images" / record.cell.name))
    assert images[0] == images[1]
    assert [source.get("file") for source in record.provenance["sources"]] == [None, path.name]
    capsys.readouterr()
    assert main(["doctor", "--methods", "add", "--family", "sdxl", "--weights", f"add={path}"]) == 0
    assert "999" in capsys.readouterr().out


def test_one_file_over_a_row_and_a_doctor_who_looks_at_it(
    world: World, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        assert main(["fetch", "--methods", "add,lightning,lcm-lora", "--family", "sdxl"]) == 0
    file = "ByteDance/SDXL-Lightning/sdxl_lightning_4step_unet.safetensors@" + str(find("lightning", "sdxl").revision)
    mine = tmp_path / "mine.safetensors"
    from methods.hub.resolve import resolve

    mine.write_bytes(resolve(file).read_bytes())
    for given in (str(mine), file):
        weights = ("--weights", f"add={given}")
        assert bench("--family", "sdxl", "--methods", "add", "--steps", "4", "--force", *weights) == 0
        record = record_of(tmp_path, "add", 4)
        assert record.status == "ok"
        repos = [source.get("repo") for source in record.provenance["sources"]]
        assert repos == ["stabilityai/sdxl-turbo", None if given == str(mine) else "ByteDance/SDXL-Lightning"]
        capsys.readouterr()
        assert main(["doctor", "--methods", "add", "--family", "sdxl", "--steps", "4", *weights]) == 0
        assert "999, 749, 499, 249" in capsys.readouterr().out
    name, pinned = (
        "latent-consistency/lcm-lora-sdxl/pytorch_lora_weights.safetensors",
        find("lcm-lora", "sdxl").revision,
    )
    assert main(["doctor", "--methods", "lcm-lora", "--family", "sdxl", "--weights", f"lcm-lora={name}"]) == 2
    told = capsys.readouterr().err
    assert f"{name} is not on this disk (it is here at {pinned}: write @COMMIT after its name)" in told
    options = ["doctor", "--methods", "lcm-lora", "--family", "sdxl", "--weights", f"lcm-lora={name}@{pinned}"]
    assert main(options) == 0
    assert "999, 759, 499, 259" in capsys.readouterr().out
    assert main([*options, "--guidance-scale", "7"]) == 1
    assert "LCM-LoRA blurs and burns above 2" in capsys.readouterr().out
    revision = find("add", "sdxl").revision
    turbo = f"stabilityai/sdxl-turbo@{revision}"
    assert main(["doctor", "--methods", "add", "--family", "sdxl", "--weights", f"add={turbo}"]) == 0


def test_a_fetch_of_methods_is_resumable_and_looks_at_the_disk_first(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hashes.forget()
    monkeypatch.setenv("FEWSTEP_CACHE", str(tmp_path / "fewstep"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1)
    monkeypatch.setattr(transfer, "RESUMED_FROM", 1)
    monkeypatch.setattr("time.sleep", lambda _: None)
    options = ["fetch", "--methods", "add,lcm", "--family", "sdxl"]
    assert main([*options, "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0].partition("@")[0] for line in lines[:-1]] == [
        "stabilityai/stable-diffusion-xl-base-1.0", "stabilityai/sdxl-turbo", "latent-consistency/lcm-sdxl",
    ]  # fmt: skip
    assert lines[-1].startswith("to fetch: ")
    assert " · free: " in lines[-1]
    cut = "diffusion_pytorch_model.fp16.safetensors"
    world.hub.cut.add(cut)
    try:
        assert main(options) == 1
    finally:
        world.hub.cut.clear()
    assert lock.locked_commit("stabilityai/sdxl-turbo", str(find("add", "sdxl").revision)) is not None
    assert lock.locked_commit("latent-consistency/lcm-sdxl", "main") is None
    world.hub.asked.clear()
    assert main(options) == 0
    (resumed,) = world.hub.fetched(
        f"lcm-sdxl/resolve/{world.hub.branches['latent-consistency/lcm-sdxl']['main']}/{cut}"
    )
    assert "bytes=" in resumed
    assert not world.hub.fetched("sdxl-turbo")
