"""What a folder or a model may try, and what is left where something goes wrong half way. No network is loaded."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from methods.errors import WeightsError
from methods.hub import hashes, lock, views
from methods.hub.places import cache_folder
from methods.hub.resolve import describe, onto_base, resolve, row_folder
from methods.hub.views import View, sources_of
from methods.weights import check_folder
from tests.hub.hub import REPO, pipeline_files, safetensors, sha, write_cache
from tests.hub.test_fetch import Line

SHARD = "diffusion_pytorch_model-00001-of-00002.safetensors"
INDEX = "unet/diffusion_pytorch_model.safetensors.index.json"


def folder_of(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A pipeline folder of SDXL's parts, as far as it is looked at before it is loaded."""
    files = {name: data for name, data in pipeline_files().items() if ".fp16" not in name and "checker" not in name}
    files["text_encoder_2/model.safetensors"] = files["text_encoder/model.safetensors"]
    return folder_of(tmp_path / "mine", files)


def index(**weight_map: str) -> bytes:
    return json.dumps({"metadata": {}, "weight_map": weight_map}).encode()


SHARDS = {
    "a pickle": (index(a="weights.bin"), "weights.bin: a pickle can run code"),
    "a place elsewhere": (
        index(a="../vae/diffusion_pytorch_model.safetensors"),
        "is not a .safetensors file beside it",
    ),
    "a program": (index(a="setup.py"), "is not a .safetensors file beside it"),
    "a file that is missing": (index(a=SHARD), f"{SHARD} is missing"),
    "no list": (b'{"weight_map": ["a"]}', "no object 'weight_map' in it"),
}


@pytest.mark.parametrize(("data", "told"), SHARDS.values(), ids=SHARDS)
def test_a_list_of_shards_is_read_before_it_is_followed(folder: Path, caches: Path, data: bytes, told: str) -> None:
    check_folder(folder)
    (folder / INDEX).write_bytes(data)
    (folder / "unet/weights.bin").write_bytes(b"pickle")
    with pytest.raises(WeightsError) as caught:
        check_folder(folder)
    assert told in str(caught.value)
    write_cache(caches, REPO, {**pipeline_files(), INDEX: data})
    with pytest.raises(WeightsError) as caught:
        resolve(REPO)
    assert told in str(caught.value)


@pytest.mark.parametrize("name", ["unet/config.json", "tokenizer/tokenizer_config.json"])
def test_a_folder_that_asks_for_remote_code(folder: Path, caches: Path, name: str) -> None:
    data = b'{"auto_map": {"AutoModel": "modeling.Mine"}}'
    (folder / name).write_bytes(data)
    with pytest.raises(WeightsError, match=r"asks for remote code \(auto_map\); code from a checkpoint is never run"):
        check_folder(folder)
    write_cache(caches, REPO, {**pipeline_files(), name: data})
    with pytest.raises(WeightsError, match="code from a checkpoint is never run"):
        resolve(REPO)


def full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def test_a_view_that_cannot_be_finished_leaves_nothing(caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cache(caches, REPO, pipeline_files())
    with monkeypatch.context() as patch:
        patch.setattr(views, "place", full)
        with pytest.raises(WeightsError, match=r"cannot be written \(No space left on device\); set FEWSTEP_CACHE"):
            resolve(REPO)
    assert not any(path.name.startswith(".making-") for path in (cache_folder() / "views").iterdir())
    first = resolve(REPO)
    assert resolve(REPO) == first
    assert [path.name for path in (cache_folder() / "views").iterdir()] == [first.name]


def test_two_that_make_one_view_at_once(caches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    view = View(texts={"model_index.json": "{}"})
    rename = Path.rename

    def beaten(self: Path, target: Path) -> Path:
        if not target.exists():  # another process is faster
            folder_of(target, {"model_index.json": b"{}"})
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", beaten)
    folder = view.folder("a/b")
    assert (folder / "model_index.json").read_text() == "{}"
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_record_that_cannot_be_written_leaves_the_old_one(caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock.record(REPO, "main", "a" * 40, {"x": "1"})
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(WeightsError, match="set FEWSTEP_CACHE"):
            lock.record(REPO, "main", "b" * 40, {"x": "2"})
    assert lock.locked_commit(REPO, "main") == "a" * 40
    assert everything(cache_folder() / "lock") == ["someone--tiny-xl.json"]


def test_a_hash_that_cannot_be_kept_is_computed_again(
    caches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashes, "SETTLED_S", -1.0)
    monkeypatch.setattr(hashes, "WORTH_KEEPING", 0)
    file = tmp_path / "file"
    file.write_bytes(b"weights")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        assert hashes.sha256_of(file) == sha(b"weights")
    assert everything(cache_folder() / "hashes") == []


class TestWhereItComesFrom:
    """A file that is put onto a base keeps its model and commit, and they are told."""

    UNET = safetensors({"unet.weight": (64, 8)}, fill=3)

    def test_a_row(self, caches: Path) -> None:
        base = write_cache(caches, "some/base", pipeline_files())
        own = write_cache(caches, "some/unets", {"four.safetensors": self.UNET})
        folder = row_folder(Line("unet", "some/unets", "four.safetensors", base="some/base"))
        first, second = sources_of(folder)
        assert (first["repo"], first["commit"]) == ("some/base", base.name)
        assert second == {"repo": "some/unets", "commit": own.name, "files": {"four.safetensors": sha(self.UNET)}}
        assert folder.name.startswith("four-on-base-")
        told = f"some/unets/four.safetensors@{own.name[:12]} (sha256 {sha(self.UNET)[:12]}, checked)"
        assert str(describe(folder)).endswith(f" + {told}")

    def test_a_file_of_the_hub_and_one_of_the_user(self, caches: Path, tmp_path: Path) -> None:
        write_cache(caches, "some/base", pipeline_files())
        own = write_cache(caches, "some/unets", {"deep/four.safetensors": self.UNET})
        path = resolve("some/unets/deep/four.safetensors")
        assert sources_of(onto_base(path, resolve("some/base")))[1]["files"] == {
            "deep/four.safetensors": sha(self.UNET)
        }
        assert (
            describe(path)
            == f"some/unets/deep/four.safetensors@{own.name[:12]} (sha256 {sha(self.UNET)[:12]}, checked)"
        )
        (tmp_path / "mine.safetensors").write_bytes(self.UNET)
        assert describe(tmp_path / "mine.safetensors") == f"mine.safetensors (sha256 {sha(self.UNET)[:12]})"

    def test_a_network_that_is_a_model_of_its_own(self, caches: Path) -> None:
        write_cache(caches, "some/base", pipeline_files())
        files = {"config.json": b"{}", "diffusion_pytorch_model.fp16.safetensors": self.UNET, "README.md": b"# card"}
        own = write_cache(caches, "some/network", files)
        folder = row_folder(Line("unet", "some/network", variant="fp16", base="some/base"))
        assert [source.get("repo") for source in sources_of(folder)] == ["some/base", "some/network"]
        assert sources_of(folder)[1]["commit"] == own.name
