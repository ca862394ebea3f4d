"""One file from the hub into its cache: a large one in parts that a later call goes on from, checked before it counts.

A file under way lies in `.partial` beside the model's blobs, where no reader of the cache looks.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from methods.errors import WeightsError
from methods.hub.hashes import hash_file, sha256_of
from methods.hub.listing import RepoFile, snapshot_folder
from methods.hub.places import repo_folder
from methods.hub.problems import explained
from methods.hub.reference import HubId

RESUMED_FROM = 4 * 2**20
"""Bytes from which an interrupted transfer is worth going on with; the hub's library starts smaller ones again."""


def transfer(hub_id: HubId, commit: str, file: RepoFile) -> Path:
    """The place on disk of `file` at `commit`, fetched unless it is there whole.

    Raises:
        WeightsError: where it cannot be had, or is not what the hub says it is; then nothing of it is left.
    """
    path = snapshot_folder(hub_id.repo, commit) / file.name
    if path.exists() and is_whole(path, file):
        return path
    _drop(path)
    with explained(HubId(hub_id.repo, hub_id.revision, file.name)):
        if file.sha256 is not None and file.size_bytes >= RESUMED_FROM:
            _fetch_blob(hub_id, commit, file)
        _fetch(hub_id, commit, file)
    if not is_whole(path, file):
        _drop(path)
        raise WeightsError(f"{hub_id.repo}/{file.name}: not what the hub announces, and deleted; fetch it again")
    return path


def is_whole(path: Path, file: RepoFile) -> bool:
    """Whether `path` has the size and, for a large file, the hash that the hub announces."""
    if path.stat().st_size != file.size_bytes:
        return False
    return file.sha256 is None or sha256_of(path) == file.sha256


def _fetch(hub_id: HubId, commit: str, file: RepoFile) -> None:
    """The hub's own download; it links a blob that is there already."""
    from huggingface_hub import hf_hub_download

    hf_hub_download(hub_id.repo, file.name, revision=commit)


def _fetch_blob(hub_id: HubId, commit: str, file: RepoFile) -> None:
    """Fetch a blob under its sha256, going on from what an earlier call left."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import WeakFileLock, build_hf_headers  # type: ignore[attr-defined]

    blob = repo_folder(hub_id.repo) / "blobs" / str(file.sha256)
    if blob.exists():
        return
    partial = repo_folder(hub_id.repo) / ".partial" / str(file.sha256)
    partial.parent.mkdir(parents=True, exist_ok=True)
    url = hf_hub_url(hub_id.repo, file.name, revision=commit)
    with WeakFileLock(partial.with_name(partial.name + ".lock")):
        there = partial.stat().st_size if partial.exists() else 0
        if there > file.size_bytes:
            partial.unlink()
            there = 0
        with partial.open("ab") as target:
            http_get(
                url, target, resume_size=there, headers=build_hf_headers(), expected_size=file.size_bytes,
                displayed_filename=file.name,
            )  # fmt: skip
        _accept(partial, blob, hub_id, file)
    if _only_locks(partial.parent):
        shutil.rmtree(partial.parent, ignore_errors=True)


def _accept(partial: Path, blob: Path, hub_id: HubId, file: RepoFile) -> None:
    found = hash_file(partial)
    if found != file.sha256:
        partial.unlink()
        raise WeightsError(
            f"{hub_id.repo}/{file.name}: sha256 {found}, but the hub announces {file.sha256}; deleted, fetch it again"
        )
    blob.parent.mkdir(parents=True, exist_ok=True)
    partial.replace(blob)


def _only_locks(folder: Path) -> bool:
    return all(path.suffix == ".lock" for path in folder.iterdir())


def _drop(path: Path) -> None:
    """Remove a damaged file of a snapshot with the blob that it links to."""
    if path.is_symlink():
        path.resolve().unlink(missing_ok=True)
    path.unlink(missing_ok=True)
