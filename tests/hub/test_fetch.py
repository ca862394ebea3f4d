"""`bench fetch` from a hub on this machine: what is fetched, what is recorded, and everything that can go wrong."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from huggingface_hub import constants

from bench.cli import main
from methods.hub import fetch as fetching
from methods.hub import lock, transfer
from methods.hub.reference import HubId
from methods.hub.resolve import resolve, resolve_wanted
from methods.hub.wanted import Wanted, base_of_row, wanted_of_row
from tests.hub.hub import REPO, FakeHub, pipeline_files, safetensors, sha, write_cache

Error = Callable[..., str]
FILES = pipeline_files()
UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Error:
    """The one line of a fetch that must fail."""

    def run(*arguments: str, status: int = 1) -> str:
        capsys.readouterr()
        assert main(["fetch", *arguments]) == status
        error = capsys.readouterr().err
        (line,) = [line for line in error.splitlines() if line.startswith("error: ")]
        assert error.splitlines()[-1] == line
        return line

    return run


def left(caches: Path) -> list[str]:
    """Files under the hub's cache that are no lock and no tag."""
    names = (path.relative_to(caches).as_posix() for path in caches.rglob("*") if path.is_file())
    return sorted(name for name in names if not name.endswith((".lock", "CACHEDIR.TAG")))


def test_a_pipeline_is_fetched_in_one_variant_and_recorded(
    hub: FakeHub, caches: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commit = hub.add(REPO, FILES)
    assert main(["fetch", REPO]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith(f"{REPO}  {commit[:12]}  10 files, ")
    assert "to fetch: " in out[1]
    assert " · free: " in out[1]
    assert f"{sha(FILES[UNET])}  {REPO}@{commit[:12]}/{UNET}" in out
    recorded = lock.locked_files(REPO, commit)
    assert set(recorded) == {line.split("/", 2)[2] for line in out[2:]}
    assert all(digest == sha(FILES[name]) for name, digest in recorded.items())
    for part in ("fp16", ".bin", ".onnx", "pipeline.py", "safety_checker"):
        assert hub.fetched(part) == []


def test_the_same_again_asks_for_nothing_and_the_network_is_not_needed_to_use_it(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(REPO, FILES)
    assert main(["fetch", REPO]) == 0
    hub.asked.clear()
    assert main(["fetch", REPO]) == 0
    folder = resolve(REPO)
    assert hub.asked == []
    assert (folder / UNET).read_bytes() == FILES[UNET]
    index = json.loads((folder / "model_index.json").read_text())
    assert index["safety_checker"] == [None, None]
    assert index["requires_safety_checker"] is False
    assert not (folder / "pipeline.py").exists()


def test_a_variant_and_a_revision(hub: FakeHub) -> None:
    hub.add(REPO, FILES)
    commit = hub.add(REPO, pipeline_files(7), "v2")
    assert main(["fetch", f"{REPO}@v2", "--variant", "fp16"]) == 0
    half = pipeline_files(7)["unet/diffusion_pytorch_model.fp16.safetensors"]
    folder = resolve_wanted(Wanted(HubId(REPO, "v2"), variant="fp16"))
    assert (folder / UNET).read_bytes() == half
    assert resolve(f"{REPO}@v2") == resolve(f"{REPO}@{commit}") == folder  # what is there of it


def test_a_branch_keeps_its_commit_until_it_is_told_to_move(hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    first = hub.add(REPO, FILES)
    main(["fetch", REPO])
    second = hub.add(REPO, pipeline_files(1))
    main(["fetch", REPO])
    assert lock.locked_commit(REPO, "main") == first
    assert (resolve(REPO) / UNET).read_bytes() == FILES[UNET]
    assert main(["fetch", REPO, "--update"]) == 0
    assert lock.locked_commit(REPO, "main") == second
    assert (resolve(REPO) / UNET).read_bytes() == pipeline_files(1)[UNET]
    assert (resolve(f"{REPO}@{first}") / UNET).read_bytes() == FILES[UNET]


def test_one_file_of_a_model(hub: FakeHub) -> None:
    hub.add(REPO, {"four.safetensors": safetensors({"x": (64,)}), "other.safetensors": safetensors({"y": (64,)})})
    assert main(["fetch", f"{REPO}/four.safetensors"]) == 0
    assert resolve(f"{REPO}/four.safetensors").read_bytes() == safetensors({"x": (64,)})
    assert hub.fetched("other") == []


def test_a_dry_run_fetches_no_weights(hub: FakeHub, caches: Path) -> None:
    hub.add(REPO, FILES)
    assert main(["fetch", REPO, "--dry-run"]) == 0
    assert hub.fetched(".safetensors") == []
    assert lock.locked_commit(REPO, "main") is None


@pytest.fixture
def resumable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file with a sha256 counts as large."""
    monkeypatch.setattr(transfer, "RESUMED_FROM", 1)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1)  # what is kept of a transfer that is cut
    monkeypatch.setattr("time.sleep", lambda _: None)


def test_a_transfer_goes_on_where_it_was_cut(hub: FakeHub, resumable: None, refused: Error, caches: Path) -> None:
    hub.add(REPO, FILES)
    hub.cut.add(UNET)
    assert "answers with status 503; try again later" in refused(REPO)
    half = len(FILES[UNET]) // 2
    partial = next(caches.glob(f"models--*/.partial/{sha(FILES[UNET])}"))
    assert partial.stat().st_size == half
    assert not (caches / "models--someone--tiny-xl/blobs" / sha(FILES[UNET])).exists()
    hub.cut.clear()
    hub.asked.clear()
    assert main(["fetch", REPO]) == 0
    assert hub.fetched(UNET) == [f"GET /{REPO}/resolve/{hub.branches[REPO]['main']}/{UNET} bytes={half}-"]
    assert not list(caches.glob("models--*/.partial"))
    assert (resolve(REPO) / UNET).read_bytes() == FILES[UNET]


@pytest.mark.parametrize("large", [True, False])
def test_another_content_than_announced_is_deleted(
    hub: FakeHub, refused: Error, caches: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    monkeypatch.setattr(transfer, "RESUMED_FROM", 1 if large else 10**9)
    hub.add(REPO, FILES)
    hub.lies[UNET] = FILES[UNET][:-1] + b"!"
    assert "deleted" in refused(REPO)
    assert not [name for name in left(caches) if sha(FILES[UNET]) in name]
    assert lock.locked_commit(REPO, "main") is None
    hub.lies.clear()
    assert main(["fetch", REPO]) == 0


def test_a_damaged_file_in_the_cache_is_fetched_again(hub: FakeHub, caches: Path) -> None:
    hub.add(REPO, FILES)
    snapshot = write_cache(caches, REPO, FILES)
    (snapshot / UNET).resolve().write_bytes(FILES[UNET][:-1] + b"!")
    assert main(["fetch", REPO]) == 0
    assert len(hub.fetched(UNET)) == 1
    assert (resolve(REPO) / UNET).read_bytes() == FILES[UNET]


def test_no_disk_is_seen_before_a_large_file_is_asked_for(
    hub: FakeHub, refused: Error, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(REPO, FILES)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _: usage(0, 0, 1000))
    assert "to fetch, but 1.0 kB are free for" in refused(REPO)
    assert "HF_HUB_CACHE" in refused(REPO)
    assert hub.fetched(".safetensors") == []


def test_a_disk_that_fills_up_leaves_nothing_that_counts(
    hub: FakeHub, refused: Error, caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(REPO, FILES)
    monkeypatch.setattr(transfer, "_fetch", full_disk)
    assert "no space left for" in refused(REPO)
    assert lock.locked_commit(REPO, "main") is None
    assert [name for name in left(caches) if name.endswith(".safetensors")] == []


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_gated_model_names_the_page_with_its_licence(hub: FakeHub, refused: Error) -> None:
    hub.add(REPO, FILES)
    hub.gated.add(REPO)
    line = refused(REPO)
    assert f"gated; accept its licence at {constants.ENDPOINT}/{REPO}" in line
    assert "hf auth login" in line


def test_a_revision_that_was_withdrawn(hub: FakeHub, refused: Error) -> None:
    hub.add(REPO, FILES)
    commit = hub.add(REPO, FILES, "old")
    assert "has no revision 'older' of it, or no longer" in refused(f"{REPO}@older")
    assert main(["fetch", f"{REPO}@old"]) == 0
    del hub.branches[REPO]["old"]
    assert main(["fetch", f"{REPO}@old"]) == 0  # what was fetched stays
    assert resolve(f"{REPO}@old") == resolve(f"{REPO}@{commit}")
    assert "has no revision 'old'" in refused(f"{REPO}@old", "--update")


def test_models_and_files_that_are_not_there(hub: FakeHub, refused: Error) -> None:
    hub.add(REPO, FILES)
    assert "no such model on the hub, or a private one" in refused("someone/else")
    assert "the model has no such file" in refused(f"{REPO}/none.safetensors")


def test_no_network(hub: FakeHub, refused: Error, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "no network: http://127.0.0.1:9 cannot be reached" in refused(REPO)


def test_offline_without_weights_names_the_command(caches: Path, refused: Error) -> None:
    line = refused(REPO)
    assert f"{REPO} is not on this disk; `python -m bench fetch {REPO}` fetches it" in line
    assert line.endswith("(HF_HUB_OFFLINE is set: unset it to fetch)")


def test_offline_with_what_another_program_fetched_checks_and_records_it(caches: Path, refused: Error) -> None:
    snapshot = write_cache(caches, REPO, FILES)
    assert main(["fetch", REPO]) == 0
    assert lock.locked_files(REPO, snapshot.name)[UNET] == sha(FILES[UNET])
    (snapshot / UNET).unlink()
    line = refused(REPO)  # and the half precision that is there too is not taken in its place
    assert f"{UNET} was fetched and is gone; `python -m bench fetch {REPO}` fetches it again" in line


REMOTE_CODE = {
    "pipeline": {"model_index.json": json.dumps({"_class_name": ["pipeline", "Mine"]}).encode()},
    "component": {"model_index.json": FILES["model_index.json"].replace(b'"diffusers", "UNet2D', b'"net", "UNet2D')},
    "auto_map": {"unet/config.json": b'{"auto_map": {"AutoModel": "modeling.Mine"}}'},
}


@pytest.mark.parametrize("change", REMOTE_CODE.values(), ids=REMOTE_CODE)
def test_a_model_that_asks_for_remote_code_is_refused_before_its_weights(
    hub: FakeHub, refused: Error, change: dict[str, bytes]
) -> None:
    hub.add(REPO, {**FILES, **change})
    assert "code from a checkpoint is never run" in refused(REPO)
    assert hub.fetched(".safetensors") == []
    assert hub.fetched(".py") == []


def test_a_model_of_pickles_and_one_without_an_index(hub: FakeHub, refused: Error) -> None:
    hub.add(REPO, {name: data for name, data in FILES.items() if not name.endswith(".safetensors")})
    assert "text_encoder/pytorch_model.bin: a pickle can run code" in refused(REPO)
    assert "a pickle can run code" in refused(f"{REPO}/text_encoder/pytorch_model.bin")
    hub.add("someone/notes", {"notes.txt": b"none"})
    assert "has no safetensors" in refused("someone/notes")


@pytest.mark.parametrize(
    "arguments",
    [[], ["--family", "sdxl"], ["--methods", "add,"], ["./folder"], ["owner/../x"], ["--methods", "add", "--nothing"]],
)
def test_requests_that_make_no_sense(caches: Path, refused: Error, arguments: list[str]) -> None:
    refused(*arguments, status=2)
    assert not caches.exists()


@dataclass(frozen=True)
class Line:
    """A row of the table of checkpoints, as far as a fetch reads it."""

    kind: str
    repo: str | None
    filename: str | None = None
    variant: str | None = None
    revision: str | None = None
    sha256: str | None = None
    base: str | None = None
    pickle: bool = False
    method: str = "add"
    family: str = "sdxl"


def test_rows_say_what_is_wanted() -> None:
    base = Line("pipeline", "a/base", variant="fp16", revision="f" * 40)
    unet = Line("unet", "b/unet", filename="one.bin", base="a/base", pickle=True, sha256="0" * 64)
    assert wanted_of_row(unet) == Wanted(HubId("b/unet", "main", "one.bin"), False, None, "0" * 64, True)
    assert base_of_row(unet, [base]) == Wanted(HubId("a/base", "f" * 40), True, "fp16")
    assert base_of_row(unet) == Wanted(HubId("a/base"))
    assert wanted_of_row(Line("pipeline", None)) is None
    for wanted in (wanted_of_row(unet), base_of_row(unet, [base]), base_of_row(unet)):
        assert wanted is not None
        assert wanted.command == "`python -m bench fetch --methods add --family sdxl`"


def test_a_pinned_hash_that_the_hub_does_not_have(hub: FakeHub) -> None:
    hub.add(REPO, {"one.safetensors": safetensors({"x": (64,)})})
    wanted = wanted_of_row(Line("unet", REPO, "one.safetensors", sha256="0" * 64))
    assert wanted is not None
    with pytest.raises(fetching.WeightsError, match=f"but {'0' * 64} was recorded"):
        fetching.plan_fetch(wanted)


def test_the_command_line_reads_the_environment_and_imports_no_torch(hub: FakeHub, tmp_path: Path) -> None:
    hub.add(REPO, FILES)
    script = "import sys; from bench.cli import main; assert main(sys.argv[1:]) == 0; print('torch' in sys.modules)"
    environment = {"HF_ENDPOINT": constants.ENDPOINT, "HF_HUB_CACHE": str(tmp_path / "c"), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", script, "fetch", REPO],
        capture_output=True, text=True, check=True, env={"FEWSTEP_CACHE": str(tmp_path / "f"), **environment},
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "False"
    assert list((tmp_path / "c").glob("models--*/snapshots/*/unet/*.safetensors"))
