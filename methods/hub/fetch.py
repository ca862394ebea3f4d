"""`bench fetch`: what is to be fetched, whether it fits on the disk, and then the files, each checked and recorded."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from methods.errors import WeightsError
from methods.hub import lock
from methods.hub.check import needed_files
from methods.hub.convert import convert_pickle
from methods.hub.hashes import sha256_of
from methods.hub.listing import Listing, RepoFile, list_in_cache, list_on_hub, snapshot_folder
from methods.hub.places import hub_cache
from methods.hub.reference import PICKLES, HubId
from methods.hub.transfer import is_whole, transfer
from methods.hub.wanted import Wanted

SPARE_BYTES = 2**30
"""Left free on the disk: a full one takes other programs down with it."""


@dataclass(frozen=True)
class FetchPlan:
    """What one model needs: its files at a commit, and which of them are not on this disk."""

    wanted: Wanted
    commit: str
    files: tuple[RepoFile, ...]
    missing: tuple[RepoFile, ...]
    gated: bool = False

    @property
    def size_bytes(self) -> int:
        """Of everything it needs."""
        return sum(file.size_bytes for file in self.files)

    @property
    def missing_bytes(self) -> int:
        """Of what is still to be fetched; a pickle takes its size again when it is converted."""
        return sum(file.size_bytes * (2 if file.name.endswith(PICKLES) else 1) for file in self.missing)


def plan_fetch(wanted: Wanted, *, update: bool = False) -> FetchPlan:
    """Lay out the fetch of one model. Small files (configurations) are fetched to see what else is needed.

    A revision that was recorded before keeps its commit unless `update`; where all of it is here, nobody is asked.

    Raises:
        WeightsError: where the model cannot be had, or may not be used.
    """
    if not update and (here := _all_here(wanted)) is not None:
        return here
    hub_id = wanted.hub_id
    revision = (None if update else lock.locked_commit(hub_id.repo, hub_id.revision)) or hub_id.revision
    listing = list_on_hub(hub_id, revision)
    files = _files(wanted, listing, lambda name: transfer(hub_id, listing.commit, _file(listing, name)))
    _check_pin(wanted, files)
    folder = snapshot_folder(hub_id.repo, listing.commit)
    missing = [file for file in files if not _is_there(folder / file.name, file)]
    return FetchPlan(wanted, listing.commit, files, tuple(missing), listing.gated)


def check_disk(plans: Iterable[FetchPlan]) -> tuple[int, int]:
    """Bytes to fetch and bytes free.

    Raises:
        WeightsError: where the first do not fit into the second.
    """
    needed = sum({(plan.wanted.hub_id.repo, plan.commit): plan.missing_bytes for plan in plans}.values())
    folder = hub_cache()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if needed and needed + SPARE_BYTES > free:
        raise WeightsError(
            f"{gigabytes(needed)} to fetch, but {gigabytes(free)} are free for {hub_cache()};"
            " free some, or set HF_HUB_CACHE to another disk"
        )
    return needed, free


def fetch(plan: FetchPlan, tell: Callable[[str], None]) -> Mapping[str, str]:
    """Fetch what is missing, check all of it, record it; file name -> sha256.

    Raises:
        WeightsError: where a file cannot be had or is not what it should be; what was recorded before stays valid.
    """
    hub_id = plan.wanted.hub_id
    hashes: dict[str, str] = {}
    for count, file in enumerate(plan.files, 1):
        if file in plan.missing:
            tell(f"  {count} of {len(plan.files)}  {file.name}  {gigabytes(file.size_bytes)}")
        path = transfer(hub_id, plan.commit, file)
        hashes[file.name] = file.sha256 or sha256_of(path)
    lock.record(hub_id.repo, hub_id.revision, plan.commit, hashes)
    for file in plan.files:
        if file.name.endswith(PICKLES):
            converted = convert_pickle(snapshot_folder(hub_id.repo, plan.commit) / file.name, hashes[file.name])
            tell(f"  {file.name}: read as weights alone, in a process of its own, and kept as {converted.name}")
    return hashes


def gigabytes(size: int) -> str:
    """`6.94 GB`, `12.3 MB` or `4.0 kB`."""
    for factor, unit, places in ((10**9, "GB", 2), (10**6, "MB", 1)):
        if size >= factor:
            return f"{size / factor:.{places}f} {unit}"
    return f"{size / 1000:.1f} kB"


def _all_here(wanted: Wanted) -> FetchPlan | None:
    """The plan of a model that was recorded and lies here whole, or None."""
    hub_id = wanted.hub_id
    commit = lock.locked_commit(hub_id.repo, hub_id.revision)
    recorded = {} if commit is None else lock.locked_files(hub_id.repo, commit)
    if commit is None and not _offline():
        return None
    try:
        listing = list_in_cache(hub_id, wanted.command)
        folder = snapshot_folder(hub_id.repo, listing.commit)
        files = _files(wanted, listing, lambda name: folder / name)
    except WeightsError as error:
        if _offline():
            raise WeightsError(f"{error} (HF_HUB_OFFLINE is set: unset it to fetch)") from error
        return None
    _check_pin(wanted, files)
    sound = all(is_whole(folder / file.name, file) for file in files)
    if not _offline() and not (sound and {file.name for file in files} <= set(recorded)):
        return None
    return FetchPlan(wanted, listing.commit, files, ())


def _files(wanted: Wanted, listing: Listing, read: Callable[[str], Path]) -> tuple[RepoFile, ...]:
    return tuple(_file(listing, name) for name in sorted(set(needed_files(wanted, listing, read).values())))


def _file(listing: Listing, name: str) -> RepoFile:
    file = listing.file(name)
    if file is None:
        raise WeightsError(f"{listing.repo}: has no {name} at {listing.commit[:12]}; it is not a whole model")
    return file


def _is_there(path: Path, file: RepoFile) -> bool:
    return path.exists() and path.stat().st_size == file.size_bytes


def _check_pin(wanted: Wanted, files: Sequence[RepoFile]) -> None:
    """The hub has the very file that the table pins, and a hash of its own for a pickle."""
    if wanted.hub_id.filename is None:
        return
    file = files[0]
    if wanted.sha256 is not None and file.sha256 is not None and file.sha256 != wanted.sha256:
        raise lock.changed(f"{wanted.hub_id}", wanted.sha256, file.sha256)
    if wanted.may_be_pickle and file.sha256 is None:
        raise WeightsError(f"{wanted.hub_id}: a pickle of which the hub gives no sha256 is never read")


def _offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def wanted_of_text(hub_id: HubId, variant: str | None) -> Wanted:
    """A model that the user named, as a whole pipeline or as a network alone."""
    return Wanted(hub_id, is_pipeline=False, variant=variant)
