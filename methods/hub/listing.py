"""The files of a model: as the hub lists them, or as its cache on this disk holds them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from methods.errors import WeightsError
from methods.hub.lock import locked_commit, locked_commits, locked_files
from methods.hub.places import repo_folder
from methods.hub.problems import explained
from methods.hub.reference import HubId, check_filename, is_commit

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class RepoFile:
    """`sha256` is the hub's own for large files, None for small ones, which the hub knows by another hash."""

    name: str
    size_bytes: int
    sha256: str | None = None


@dataclass(frozen=True)
class Listing:
    """A model at one commit."""

    repo: str
    commit: str
    files: tuple[RepoFile, ...]
    gated: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(file.name for file in self.files)

    def file(self, name: str) -> RepoFile | None:
        """The file called `name`, or None."""
        return next((file for file in self.files if file.name == name), None)


def list_on_hub(hub_id: HubId, revision: str) -> Listing:
    """What the hub has of a model at `revision`, with sizes and hashes.

    Raises:
        WeightsError: where the hub cannot be asked, or has no such model or revision.
    """
    from huggingface_hub import HfApi

    with explained(hub_id):
        info = HfApi().model_info(hub_id.repo, revision=revision, files_metadata=True)
        files = tuple(
            RepoFile(check_filename(item.rfilename), item.size or 0, item.lfs.sha256 if item.lfs else None)
            for item in info.siblings or ()
        )
        if info.sha is None or not is_commit(info.sha):
            raise WeightsError(f"{hub_id}: the hub names no commit for it; try again later")
    return Listing(hub_id.repo, info.sha, files, gated=bool(info.gated))


def list_in_cache(hub_id: HubId, command: str) -> Listing:
    """What lies on this disk of a model: at the commit that was recorded for its revision, else the cache's own.

    `command` is the command line that fetches it.

    Raises:
        WeightsError: where nothing does, or no longer all that was fetched, naming the command that fetches it.
    """
    commit = locked_commit(hub_id.repo, hub_id.revision) or _cached_commit(hub_id)
    folder = None if commit is None else snapshot_folder(hub_id.repo, commit)
    if commit is None or folder is None or not folder.is_dir():
        others = [other for other in locked_commits(hub_id.repo) if snapshot_folder(hub_id.repo, other).is_dir()]
        here = (
            f" (it is here at {', '.join(others)}: write @COMMIT after its name)" if others and commit is None else ""
        )
        raise WeightsError(f"{hub_id} is not on this disk{here}; {command} fetches it")
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    found = tuple(_cached_file(path, folder) for path in files)
    if gone := sorted(set(locked_files(hub_id.repo, commit)) - {file.name for file in found}):
        raise WeightsError(f"{hub_id}: {gone[0]} was fetched and is gone; {command} fetches it again")
    return Listing(hub_id.repo, commit, found)


def snapshot_folder(repo: str, commit: str) -> Path:
    """Where the hub's cache has the files of one commit."""
    return repo_folder(repo) / "snapshots" / commit


def _cached_commit(hub_id: HubId) -> str | None:
    if is_commit(hub_id.revision):
        return hub_id.revision
    path = repo_folder(hub_id.repo) / "refs" / hub_id.revision
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None


def _cached_file(path: Path, folder: Path) -> RepoFile:
    """A large file is a link to a blob that is named by its sha256."""
    blob = path.resolve().name
    return RepoFile(path.relative_to(folder).as_posix(), path.stat().st_size, blob if _SHA256.fullmatch(blob) else None)
