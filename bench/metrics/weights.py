"""Which files of pretrained judges a run was given, and their hashes. No torch.

A judge's weights are a folder (or a file) of the user's, or `hub`: what `bench fetch --judges` has brought. They are
read as safetensors and JSON; the one exception is Inception's TorchScript file, which is pinned by its hash.
"""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from bench.errors import UsageError, WeightsError
from bench.metrics.judge_table import CONVERT, WEIGHTS, WeightsInfo
from bench.provenance import file_hash

HUB = "hub"
OPTION = "--metric-weights"


def parse_metric_weights(items: Sequence[str]) -> dict[str, Path | None]:
    """`NAME=PATH`, `NAME=hub` or a folder with a subfolder a name -> name -> path, None for the hub.

    Raises:
        UsageError: for a name that is not in `WEIGHTS`, a path that is not there, or a judge that is not on the hub.
    """
    given: dict[str, Path | None] = {}
    for item in items:
        for name, path in _one(item):
            if name in given:
                raise UsageError(f"{OPTION} gives {name!r} twice; give it once")
            given[name] = path
    return given


def _one(item: str) -> Iterator[tuple[str, Path | None]]:
    name, equals, path = item.partition("=")
    if not equals:
        found = [(known, Path(item) / known) for known in WEIGHTS if (Path(item) / known).exists()]
        if not found:
            raise UsageError(
                f"{OPTION} {item!r} is neither NAME=FOLDER nor a folder with one of {', '.join(WEIGHTS)} in it"
            )
        yield from found
        return
    if name not in WEIGHTS:
        raise UsageError(f"{OPTION} {item!r}: {name!r} is not one of {', '.join(WEIGHTS)}")
    info = WEIGHTS[name]
    if path == HUB:
        if not info.on_hub:
            raise UsageError(f"{OPTION} {item}: it is not on the hub; {info.note} ({info.source})")
        yield name, None
    elif not Path(path).exists():
        raise UsageError(f"{OPTION} {item!r}: there is nothing at {path}")
    else:
        yield name, Path(path)


class JudgeFiles:
    """The files of the judges that a run was given."""

    def __init__(self, given: Mapping[str, Path | None] | None = None) -> None:
        self._given = dict(given or {})

    def listing(self) -> dict[str, str]:
        """Judge -> digest of the names and sizes of its files: quick to see whether a record used the same ones."""
        return {name: _listing(path, WEIGHTS[name]) for name, path in sorted(self._given.items())}

    def path(self, name: str, metric: str) -> Path:
        """The folder or file of judge `name`; where the hub was asked for, what was fetched of it.

        Raises:
            UsageError: where the run was given none, naming the option, the source and the licence.
        """
        info = WEIGHTS[name]
        if name not in self._given:
            way = f"{OPTION} {name}={HUB}, or =FOLDER" if info.on_hub else f"{OPTION} {name}=PATH; {info.note}"
            raise UsageError(f"{metric} needs the weights of {info.title}: {way} ({info.source}, {info.licence})")
        path = self._given[name]
        if path is None:
            from bench.metrics.judge_hub import hub_folder

            path = self._given[name] = hub_folder(name)
        return path

    def hash(self, name: str, metric: str) -> str:
        """sha256 over the files that are read.

        Raises:
            WeightsError: where a file is missing, or is not the one that is pinned.
        """
        path, info = self.path(name, metric), WEIGHTS[name]
        if name not in self._hashes:
            self._hashes[name] = _hash(path, info)
        return self._hashes[name]

    @cached_property
    def _hashes(self) -> dict[str, str]:
        return {}


def files_of(path: Path, info: WeightsInfo) -> list[Path]:
    """The files of `path` that a judge reads, by name; `path` itself where it is a file.

    Raises:
        WeightsError: where there is none, or only a pickle.
    """
    if path.is_file():
        files = [path]
    else:
        files = sorted(item for item in path.iterdir() if any(fnmatch.fnmatch(item.name, p) for p in info.files))
    weights = [item for item in files if item.suffix == ".safetensors" or item.name in info.files]
    if info.sha256 is None:
        weights = [item for item in files if item.suffix == ".safetensors"]
    if not weights:
        pickles = sorted(path.glob("*.[pb][tiy]*")) if path.is_dir() else files
        why = f"{pickles[0].name} is a pickle, which can run any code; {CONVERT}" if pickles else "no such file there"
        raise WeightsError(f"{path}: {info.name} needs {info.files[0] if info.sha256 else '*.safetensors'} ({why})")
    return files


def _hash(path: Path, info: WeightsInfo) -> str:
    files = files_of(path, info)
    if info.sha256 is not None:
        found = file_hash(files[0])
        if found != info.sha256:
            raise WeightsError(
                f"{files[0]}: sha256 {found[:12]} is not the published {info.sha256[:12]}; download {info.source} again"
            )
        return found
    digest = hashlib.sha256()
    for item in files:
        digest.update(f"{item.name}\0{file_hash(item)}\n".encode())
    return digest.hexdigest()


def _listing(path: Path | None, info: WeightsInfo) -> str:
    if path is None:
        return HUB
    names = [f"{item.name}\0{item.stat().st_size}" for item in files_of(path, info)]
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]
