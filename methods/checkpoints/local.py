"""Where the weights of a row lie on this machine."""

from __future__ import annotations

from pathlib import Path

from methods.checkpoints.table import Checkpoint
from methods.errors import WeightsError


def folder_of(row: Checkpoint) -> Path:
    """The pipeline folder of `row` in the hub's cache; nothing is downloaded.

    Raises:
        WeightsError: where it is not there, naming the command that gets it.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    command = f"`python -m bench fetch --methods {row.method} --family {row.family}` gets it"
    if row.repo is None:
        raise WeightsError(f"{row.name}: {row.note}")
    if row.kind != "pipeline":
        raise WeightsError(f"{row.name}: no pipeline folder with its {row.kind} on this machine; {command}")
    try:
        return Path(snapshot_download(row.repo, revision=row.revision, local_files_only=True))
    except LocalEntryNotFoundError as error:
        raise WeightsError(f"{row.name}: {row.repo} is not on this machine; {command}") from error
