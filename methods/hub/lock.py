"""What was fetched, and with which content: recorded at the first fetch, and checked at every load.

`<cache>/lock/<owner>--<name>.json` holds, for each revision that was asked for, the commit that it meant then, and for
each commit the sha256 of every file. A branch that moves on the hub does not move a benchmark: `bench fetch --update`
does. `<cache>/lock/files.json` does the same for single files that come from elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from methods.errors import WeightsError
from methods.hub.hashes import sha256_of
from methods.hub.places import cache_folder
from methods.hub.reference import is_commit
from methods.jsonfile import read_json

SCHEMA = 1


def locked_commit(repo: str, revision: str) -> str | None:
    """The commit that `revision` was recorded to mean, or None."""
    data = _read(repo)
    if is_commit(revision):
        return revision if revision in data["commits"] else None
    commit = data["revisions"].get(revision)
    return None if commit is None else str(commit)


def locked_commits(repo: str) -> tuple[str, ...]:
    """The commits of which anything was recorded."""
    return tuple(_read(repo)["commits"])


def locked_files(repo: str, commit: str) -> Mapping[str, str]:
    """File name -> sha256 of what was fetched of `commit`."""
    return dict(_read(repo)["commits"].get(commit, {}))


def record(repo: str, revision: str, commit: str, files: Mapping[str, str]) -> None:
    """Add `files` (name -> sha256) of `commit`, which `revision` means from now on.

    Raises:
        WeightsError: where one was recorded with another content before.
    """
    data = _read(repo)
    known = data["commits"].setdefault(commit, {})
    for name, digest in files.items():
        if known.setdefault(name, digest) != digest:
            raise changed(f"{repo}@{commit[:12]}/{name}", known[name], digest)
    if not is_commit(revision):
        data["revisions"][revision] = commit
    write_whole(_path(repo), json.dumps(data, indent=1, sort_keys=True) + "\n")


def check_recorded(name: str, path: Path, pinned: str | None = None) -> str:
    """The sha256 of a file that comes from elsewhere; recorded under `name` at the first call, and compared after.

    Raises:
        WeightsError: where it differs from what is `pinned`, or from what was recorded.
    """
    place = cache_folder() / "lock" / "files.json"
    known: dict[str, str] = _read_json(place).get("files", {})
    digest = sha256_of(path)
    expected = pinned or known.get(name, digest)
    if digest != expected:
        raise changed(str(path), expected, digest)
    if known.get(name) != digest:
        write_whole(place, json.dumps({"schema": SCHEMA, "files": {**known, name: digest}}, indent=1) + "\n")
    return digest


def changed(name: str, expected: str, found: str) -> WeightsError:
    """The error for a file that is no longer what it was."""
    return WeightsError(
        f"{name}: sha256 {found}, but {expected} was recorded when it was fetched; delete the file and fetch it again"
    )


def write_whole(path: Path, text: str) -> None:
    """Write `path`, whole or not at all.

    Raises:
        WeightsError: where the cache cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise WeightsError(f"{path.parent}: cannot be written ({error.strerror}); set FEWSTEP_CACHE") from error


def _path(repo: str) -> Path:
    return cache_folder() / "lock" / (repo.replace("/", "--") + ".json")


def _read(repo: str) -> dict[str, Any]:
    data = _read_json(_path(repo))
    return {"schema": SCHEMA, "repo": repo, "revisions": data.get("revisions", {}), "commits": data.get("commits", {})}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = read_json(path)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: not readable ({error}); delete it and fetch again") from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise WeightsError(f"{path}: of another version; delete it and fetch again")
    return data
