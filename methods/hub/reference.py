"""What `--weights METHOD=...` may name: a folder, a file of safetensors, or a model on the hub.

students/lcm                                      a pipeline folder
sdxl_lightning.safetensors                        one file: a denoiser or a LoRA, put onto the family's base
stabilityai/sdxl-turbo                            a model on the hub
stabilityai/sdxl-turbo@v1.0                       at a branch, a tag or a commit
ByteDance/SDXL-Lightning/four_steps.safetensors   one file of a model on the hub
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from methods.errors import UsageError, WeightsError

PICKLES = (".bin", ".ckpt", ".pkl", ".pickle", ".pt", ".pth")
SAFETENSORS = ".safetensors"

_OWNER_OR_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,199}")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubId:
    """A model on the hub, at a branch, tag or commit; with `filename`, one file of it."""

    repo: str
    revision: str = "main"
    filename: str | None = None

    def __str__(self) -> str:
        """As it is written on the command line."""
        named = self.repo if self.filename is None else f"{self.repo}/{self.filename}"
        return named if self.revision == "main" else f"{named}@{self.revision}"


def is_commit(revision: str) -> bool:
    """Whether `revision` is a full commit hash, which never moves."""
    return _COMMIT.fullmatch(revision) is not None


def parse(text: str) -> Path | HubId:
    """The path or the hub id that `text` stands for. What lies on this disk comes first.

    Raises:
        UsageError: for what is neither, naming what is wrong with it.
        WeightsError: for a pickle.
    """
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:  # ~NAME of nobody
        raise UsageError(f"{text!r}: {error}; write the whole path") from error
    if path.suffix in PICKLES:
        raise pickle_refused(text)
    if path.exists() or _looks_local(text):
        return path
    return _hub_id(text)


def pickle_refused(name: object) -> WeightsError:
    """The error for a pickle that no table vouches for."""
    return WeightsError(f"{name}: a pickle can run code when it is read; convert it to safetensors")


def check_repo(repo: str) -> str:
    """`repo`, where it is an owner and a name and nothing else.

    Raises:
        UsageError: otherwise; a path cannot pass for a model.
    """
    parts = repo.split("/")
    sound = len(parts) == 2 and all(_OWNER_OR_NAME.fullmatch(part) for part in parts)
    if not sound or ".." in repo or "--" in repo or repo.endswith(".git"):
        raise UsageError(f"{repo!r} is not a model on the hub; write OWNER/NAME, as in stabilityai/sdxl-turbo")
    return repo


def check_filename(name: str) -> str:
    """`name`, where it stays inside the folder that it is relative to.

    Raises:
        UsageError: otherwise.
    """
    parts = name.split("/")
    if not name or "\\" in name or ":" in name or any(part in ("", ".", "..") for part in parts):
        raise UsageError(f"{name!r} leaves the model's folder; name a file inside it")
    return name


def _looks_local(text: str) -> bool:
    return text.startswith((".", "/", "~")) or "\\" in text or "/" not in text


def _hub_id(text: str) -> HubId:
    named, at, revision = text.partition("@")
    parts = named.split("/")
    repo = check_repo("/".join(parts[:2]))
    filename = check_filename("/".join(parts[2:])) if len(parts) > 2 else None
    if filename is not None and not filename.endswith(SAFETENSORS):
        raise UsageError(f"{text!r}: name a {SAFETENSORS} file of the model, or the model alone")
    if at and (_REVISION.fullmatch(revision) is None or ".." in revision or "//" in revision):
        raise UsageError(f"{text!r}: {revision!r} is not a branch, a tag or a commit")
    return HubId(repo, revision if at else "main", filename)
